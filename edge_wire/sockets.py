"""Byte streams over TCP sockets, and connecting to an address that has been checked."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from datetime import timedelta

from edge_wire import splice
from edge_wire.errors import EdgeError, StreamBroken, TargetRefused, TargetTimedOut, TargetUnreachable
from edge_wire.names import host_and_port
from edge_wire.splice import Heir, Spliceable
from edge_wire.splicer import reset_on_close
from edge_wire.streams import CHUNK
from edge_wire.targets import Address

_HELD = 512 * 1024
"""Bytes of one connection that wait for a reader before the sender is slowed."""
_UNSENT = 256 * 1024
"""Bytes that wait for the kernel before a writer is slowed."""


class SocketStream(asyncio.Protocol, Spliceable):
    """A connection as a ByteStream; also the asyncio protocol that a listener or a dial makes for it.

    TLS has no half-close here: ending our direction ends the connection once everything is sent.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._is_paused = False
        self._is_read_over = False
        self._is_write_over = False
        self._failure: EdgeError | None = None
        self._heir: Heir | None = None
        self._changed = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

    # --- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=_UNSENT)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        self._chunks.append(data)
        self._held += len(data)
        if self._held > _HELD and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._changed.set()

    def eof_received(self) -> bool:
        self._is_read_over = True
        self._changed.set()
        if self._transport.can_write_eof():
            return True
        self._is_write_over = True  # TLS goes down as a whole, what was written is still sent
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None or not (self._is_read_over and self._is_write_over):
            self._failure = self._failure or StreamBroken(f"the connection broke ({_in_words(error)})")
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

    @property
    def peer_address(self) -> str:
        """The address of the other side without its port, which is another one each time."""
        return self.peer.rpartition(":")[0]

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
        if self._heir is not None:
            self._heir.close_write()
            return
        if self._is_write_over:
            return
        self._require_open()
        self._is_write_over = True
        if self._transport.can_write_eof():
            self._shut_down()
        else:
            self._is_read_over = True
        await self.flush()
        self._close_when_over()

    def abort(self, failure: EdgeError | None = None) -> None:
        if self._heir is not None:
            self._heir.abort(failure)
            return
        if self._is_read_over and self._is_write_over:
            self._transport.close()
            return
        self._failure = self._failure or failure or StreamBroken("the connection was given up")
        if not self._transport.is_closing():
            reset_on_close(self._transport.get_extra_info("socket"))
        self._transport.abort()
        self._changed.set()
        self._has_room.set()

    # --- what a Spliceable does

    @property
    def is_spliceable(self) -> bool:
        return splice.IS_AVAILABLE and self._transport.can_write_eof()  # which TLS cannot

    @property
    def is_detachable(self) -> bool:
        is_whole = self._failure is None and not self._transport.is_closing()
        return is_whole and self._transport.get_write_buffer_size() == 0

    async def flush(self) -> None:
        if not self._transport.is_closing():
            self._transport.set_write_buffer_limits(high=0)
        await self._has_room.wait()
        if self._failure is not None:
            raise self._failure

    def duplicate(self) -> socket.socket:
        copy: socket.socket = self._transport.get_extra_info("socket").dup()
        return copy

    def detach(self, heir: Heir) -> bytes:
        # Nothing may be awaited here: bytes would arrive in between. Aborting closes our handle, and resets nothing
        # because there is another one.
        self._transport.pause_reading()
        first = b"".join(self._chunks)
        self._chunks.clear()
        self._heir = heir
        self._failure = StreamBroken("the connection was given away")
        self._transport.abort()
        return first

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
        if self._is_read_over and not self._chunks:
            self._close_when_over()
        return data

    def _shut_down(self) -> None:
        try:
            self._transport.write_eof()
        except OSError as error:  # the kernel knows of a reset that asyncio has not told yet
            self._failure = StreamBroken(f"the connection broke ({_in_words(error)})")
            raise self._failure from None

    def _close_when_over(self) -> None:
        if self._is_read_over and self._is_write_over:
            self._transport.close()

    def _require_open(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._is_write_over:
            raise StreamBroken("our side of the connection has ended")


async def connect(address: Address, port: int, within: timedelta) -> SocketStream:
    """Connect to an address, never to a name.

    Raises TargetRefused, TargetTimedOut, TargetUnreachable.
    """
    loop = asyncio.get_running_loop()
    place = host_and_port(str(address), port)
    try:
        async with asyncio.timeout(within.total_seconds()):
            _, stream = await loop.create_connection(SocketStream, str(address), port)
    except TimeoutError:
        raise TargetTimedOut(f"{place} did not answer within {within.total_seconds():g} s") from None
    except ConnectionRefusedError:
        raise TargetRefused(f"{place} refused the connection") from None
    except OSError as error:
        raise TargetUnreachable(f"{place} cannot be reached ({_in_words(error)})") from None
    return stream


def _in_words(error: Exception | None) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "closed" if error is None else type(error).__name__
