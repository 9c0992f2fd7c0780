"""Byte streams over plain TCP sockets.

There is no transport of asyncio here: of a short connection that was most of the cost.
"""

from __future__ import annotations

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from edge_wire.errors import EdgeError, StreamBroken
from edge_wire.joint import Joinable, Joint
from edge_wire.moving import NEAR, Given, reset_on_close
from edge_wire.names import host_and_port
from edge_wire.readiness import ENDING, READABLE, WRITABLE, Watcher, readiness
from edge_wire.streams import CHUNK

_UNSENT = 256 * 1024
"""Bytes that wait for the kernel before a writer is slowed."""


class SocketStream(ABC):
    """A TCP connection as a ByteStream, with TLS or without."""

    @property
    @abstractmethod
    def peer(self) -> str:
        """`address:port` of the other side; empty when it had left already."""

    @property
    def peer_address(self) -> str:
        """The address of the other side without its port, which is another one each time; IPv6 in brackets."""
        return self.peer.rpartition(":")[0]

    @abstractmethod
    async def read(self) -> bytes:
        """As ByteStream."""

    @abstractmethod
    async def write(self, data: bytes) -> None:
        """As ByteStream."""

    @abstractmethod
    async def close_write(self) -> None:
        """As ByteStream."""

    @abstractmethod
    def abort(self, failure: EdgeError | None = None) -> None:
        """As ByteStream."""


class PlainStream(SocketStream, Joinable):
    """Reads when it is asked to, so that the kernel keeps what nobody wants yet and slows the sender."""

    def __init__(self, connection: socket.socket, place: Any) -> None:
        """Takes a connected socket that does not block, and the address of its peer."""
        self._socket = connection
        self._place = place
        self._loop = asyncio.get_running_loop()
        self._readiness = readiness(self._loop)
        self._is_watched = False
        self._may_read = True
        self._is_ending = False
        self._is_read_over = False
        self._is_write_over = False
        self._is_closed = False
        self._unsent = bytearray()
        self._failure: EdgeError | None = None
        self._joint: Joint | None = None
        """What the connection was given to."""
        self._side = NEAR
        self._reading: asyncio.Future[None] | None = None
        self._writing: asyncio.Future[None] | None = None

    # --- what a ByteStream does

    @property
    def peer(self) -> str:
        return host_and_port(*self._place[:2]) if self._place else ""

    @property
    def peer_address(self) -> str:
        address: str = self._place[0] if self._place else ""
        return f"[{address}]" if ":" in address else address

    async def read(self) -> bytes:
        while not self._is_read_over:
            if self._may_read:
                data = self._receive()
                if data is not None:
                    return data
            elif self._failure is not None or self._joint is not None:
                raise self._reason()
            else:
                self._reading = self._loop.create_future()
                await self._reading
        return b""

    async def write(self, data: bytes) -> None:
        if self._is_write_over or self._failure is not None or self._joint is not None:
            raise self._reason()
        if self._unsent:
            self._unsent += data
        elif (sent := self._send(data)) < len(data):
            self._unsent += memoryview(data)[sent:]
            self._await_writing()
        if len(self._unsent) > _UNSENT:
            await self._wait_until(lambda: len(self._unsent) <= _UNSENT // 4)

    async def close_write(self) -> None:
        if self._joint is not None:
            self._joint.close_write(self._side)
            return
        if self._is_write_over:
            return
        if self._failure is not None:
            raise self._failure
        self._is_write_over = True
        if self._unsent:
            await self._wait_until(lambda: not self._unsent)
        else:
            self._shut_down()

    def abort(self, failure: EdgeError | None = None) -> None:
        if self._joint is not None:
            self._joint.abort(failure)
            return
        if not self._is_closed:
            self._failure = self._failure or failure or StreamBroken("the connection was given up")
            self._reset()

    # --- what the kernel tells

    def _changed(self, events: int) -> None:
        if events & WRITABLE and self._unsent:
            self._send_unsent()
        if events & READABLE:
            self._may_read = True
            if events & ENDING:
                self._is_ending = True
            _wake(self._reading)

    # --- what a Joinable does

    @property
    def is_joinable(self) -> bool:
        return self._failure is None and self._joint is None and not self._is_closed

    def prepare(self) -> None:
        if not self._is_watched:
            self._watch()

    def give_away(self, joint: Joint, side: int, watcher: Watcher) -> Given:
        self._joint, self._side = joint, side
        given = Given(self._socket, bytes(self._unsent), not self._may_read, self._is_ending)
        self._readiness.hand_on(self._socket.fileno(), watcher)
        self._may_read = False
        _wake(self._reading)
        _wake(self._writing)
        return given

    def _receive(self) -> bytes | None:
        """What there is; None when that is nothing."""
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            data = None
        except OSError as error:
            self._failure = self._failure or _broken(error)
            self._reset()
            raise self._failure from None
        if data == b"":
            self._is_read_over = True
            self._close_when_over()
        elif data is None or (len(data) < CHUNK and not self._is_ending):  # there is no more, and we are told of more
            if self._is_watched:
                self._may_read = False
                self._readiness.await_reading(self._socket.fileno())
            else:
                self._watch()
        return data

    def _await_writing(self) -> None:
        if not self._is_watched:
            self._watch()
        self._readiness.await_writing(self._socket.fileno())

    def _watch(self) -> None:
        """Begin to be told, not before something has to be waited for: a message that is there needs no telling."""
        try:
            self._readiness.watch(self._socket.fileno(), self._changed)
        except OSError as error:
            self._failure = self._failure or _broken(error)
            self._reset()
            raise self._failure from None
        self._is_watched = True
        self._may_read = False  # if there is something, we are told

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._no_more_writing(error) from None

    def _send_unsent(self) -> None:
        with suppress(EdgeError):  # whoever reads or writes next is told
            del self._unsent[: self._send(self._unsent)]
            if self._unsent:
                self._await_writing()
            elif self._is_write_over:
                self._shut_down()
        _wake(self._writing)

    def _shut_down(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise self._no_more_writing(error) from None
        self._close_when_over()

    def _no_more_writing(self, error: OSError) -> EdgeError:
        """It broke; what had arrived before is still to be read, and then this."""
        self._failure = self._failure or _broken(error)
        self._unsent.clear()
        self._may_read = True
        _wake(self._reading)
        return self._failure

    def _close_when_over(self) -> None:
        if self._is_read_over and self._is_write_over and not self._unsent:
            self._close()

    def _reset(self) -> None:
        with suppress(OSError):
            reset_on_close(self._socket)
        self._close()

    def _close(self) -> None:
        self._is_closed = True
        self._may_read = False
        self._unsent.clear()
        self._readiness.forget(self._socket.fileno(), is_closing=True)
        self._socket.close()
        _wake(self._reading)
        _wake(self._writing)

    async def _wait_until(self, has_room: Callable[[], bool]) -> None:
        while not has_room():
            self._writing = self._loop.create_future()
            await self._writing
            if self._failure is not None or self._joint is not None:
                raise self._reason()

    def _reason(self) -> EdgeError:
        """Why nothing can be read or written any more."""
        if self._failure is not None:
            return self._failure
        if self._joint is not None:
            return StreamBroken("the connection was given away")
        return StreamBroken("our side of the connection has ended")


def make_ready(connection: socket.socket) -> None:
    """What sockets of ours have in common. One that listens hands it on to what it accepts."""
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def in_words(error: Exception | None) -> str:
    """What the kernel, or TLS, has to say."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "closed" if error is None else type(error).__name__


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)


def _broken(error: OSError) -> StreamBroken:
    return StreamBroken(f"the connection broke ({in_words(error)})")
