"""Byte streams over TLS. Asyncio does the TLS, so that these, other than plain ones, have a transport of its."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque

from edge_wire.errors import EdgeError, StreamBroken
from edge_wire.moving import reset_on_close
from edge_wire.names import host_and_port
from edge_wire.sockets import SocketStream, in_words
from edge_wire.streams import CHUNK

_HELD = 512 * 1024
"""Bytes of one connection that wait for a reader before the sender is slowed."""
_UNSENT = 256 * 1024
"""Bytes that wait for the kernel before a writer is slowed."""


class TlsStream(SocketStream, asyncio.Protocol):
    """A connection as a ByteStream; also the asyncio protocol behind it.

    There is no half-close: ending our direction ends the connection once everything is sent.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._is_paused = False
        self._is_read_over = False
        self._is_write_over = False
        self._failure: EdgeError | None = None
        self._changed = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

    # --- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=_UNSENT)

    def data_received(self, data: bytes) -> None:
        self._chunks.append(data)
        self._held += len(data)
        if self._held > _HELD and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._changed.set()

    def eof_received(self) -> bool:
        self._is_read_over = self._is_write_over = True  # it goes down as a whole, what was written is still sent
        self._changed.set()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None or not (self._is_read_over and self._is_write_over):
            self._failure = self._failure or StreamBroken(f"the connection broke ({in_words(error)})")
        self._changed.set()
        self._has_room.set()

    def pause_writing(self) -> None:
        self._has_room.clear()

    def resume_writing(self) -> None:
        self._has_room.set()

    # --- what a ByteStream does

    @property
    def peer(self) -> str:
        """`address:port` of the other side; empty when it has left already."""
        place = self._transport.get_extra_info("peername")
        return host_and_port(*place[:2]) if place else ""

    async def read(self) -> bytes:
        while not self._chunks:
            if self._is_read_over:
                return b""
            if self._failure is not None:
                raise self._failure
            self._changed.clear()
            await self._changed.wait()
        return self._take()

    async def write(self, data: bytes) -> None:
        self._require_open()
        self._transport.write(data)
        if not self._has_room.is_set():
            await self._has_room.wait()
            self._require_open()

    async def close_write(self) -> None:
        if self._is_write_over:
            return
        self._require_open()
        self._is_read_over = self._is_write_over = True
        await self._flush()
        self._transport.close()

    def abort(self, failure: EdgeError | None = None) -> None:
        if self._is_read_over and self._is_write_over:
            self._transport.close()
            return
        self._failure = self._failure or failure or StreamBroken("the connection was given up")
        if not self._transport.is_closing():
            reset_on_close(self._transport.get_extra_info("socket"))
        self._transport.abort()
        self._changed.set()
        self._has_room.set()

    def _take(self) -> bytes:
        data = self._chunks[0]
        if len(data) > CHUNK:
            self._chunks[0] = data[CHUNK:]
            data = data[:CHUNK]
        else:
            self._chunks.popleft()
        self._held -= len(data)
        if self._is_paused and self._held <= _HELD // 2:
            self._is_paused = False
            self._transport.resume_reading()
        return data

    async def _flush(self) -> None:
        """Wait until the kernel has everything that was written. Raises EdgeError when the stream broke."""
        if not self._transport.is_closing():
            self._transport.set_write_buffer_limits(high=0)
        await self._has_room.wait()
        if self._failure is not None:
            raise self._failure

    def _require_open(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._is_write_over:
            raise StreamBroken("our side of the connection has ended")


async def secure(connection: socket.socket, tls: ssl.SSLContext, *, server_name: str | None) -> TlsStream:
    """Speak TLS on a connected socket: as a client of the server with this name, or as the server.

    Raises OSError, of which SSLError is one; then the socket is closed.
    """
    loop = asyncio.get_running_loop()
    try:
        if server_name is None:
            _, stream = await loop.connect_accepted_socket(TlsStream, connection, ssl=tls)
        else:
            _, stream = await loop.create_connection(TlsStream, sock=connection, ssl=tls, server_hostname=server_name)
    except BaseException:
        connection.close()
        raise
    return stream
