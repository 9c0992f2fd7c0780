"""Accepting TCP connections: a bounded number at once, each served by a task that the listener owns."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

from edge_wire.errors import Denied, EdgeError, InvalidValue, PortInUse, StreamBroken
from edge_wire.moving import reset_on_close
from edge_wire.names import host_and_port, quoted
from edge_wire.sockets import PlainStream, SocketStream, in_words, make_ready
from edge_wire.tasks import OwnedTasks
from edge_wire.tls_stream import secure

log = logging.getLogger(__name__)

CONNECTIONS_LIMIT = 10_000
_BACKLOG = 1024
_ACCEPTED_AT_ONCE = 64
_PAUSE = timedelta(seconds=1)
"""After an accept that failed for want of something: the kernel would say at once that there is a connection."""


@dataclass(frozen=True, kw_only=True)
class ListenAddress:
    """Where to listen. Port 0 takes a free one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return host_and_port(self.host, self.port)


def parse_listen(text: str) -> ListenAddress:
    """Read `ADDRESS:PORT`, `[IPV6]:PORT` or a port of 127.0.0.1. Raises InvalidValue."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    is_spelled = port.isascii() and port.isdigit() and int(port) <= 65535 and not text.startswith(":")
    if not is_spelled or (":" in host and not text.startswith("[")):
        raise InvalidValue(f"{quoted(text)} is no address to listen on: ADDRESS:PORT or PORT")
    return ListenAddress(host=host or "127.0.0.1", port=int(port))


class Listener:
    """One listening port."""

    def __init__(self, serve: Callable[[SocketStream], Awaitable[None]], *, limit: int = CONNECTIONS_LIMIT) -> None:
        self._serve = serve
        self._limit = limit
        self._tasks = OwnedTasks(log, "a connection was not served as it should")
        self._open = 0
        self._tls: ssl.SSLContext | None = None
        self._sockets: list[socket.socket] = []
        self._unattended: set[socket.socket] = set()
        """Accepted, and not begun with."""

    async def open(self, address: ListenAddress, tls: ssl.SSLContext | None = None) -> ListenAddress:
        """Listen; returns where. Raises PortInUse, Denied, InvalidValue."""
        self._tls = tls
        loop = asyncio.get_running_loop()
        try:
            places = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            for family, place in dict.fromkeys((family, place) for family, *_, place in places):
                self._sockets.append(_listening(family, place))
        except OSError as error:
            self.stop_accepting()
            raise _refusal(address, error) from None
        for listening in self._sockets:
            loop.add_reader(listening, self._accept, listening)
        return ListenAddress(host=address.host, port=self._sockets[0].getsockname()[1])

    def open_file(self, path: str) -> None:
        """Listen on a Unix socket of this name, which whoever made its directory removes. Raises OSError."""
        listening = _ListeningSocket(socket.AF_UNIX)
        try:
            listening.setblocking(False)
            listening.bind(path)
            listening.listen(_BACKLOG)
        except BaseException:
            listening.close()
            raise
        self._sockets.append(listening)
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    async def finish(self, within: timedelta) -> None:
        """Take no more connections, and wait a little for those there are to end by themselves; then end them."""
        self.stop_accepting()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._tasks.finish(), within.total_seconds())
        await self._tasks.stop()

    def stop_accepting(self) -> None:
        """Take no more connections; those there are go on."""
        loop = asyncio.get_running_loop()
        for listening in self._sockets:
            loop.remove_reader(listening)
            listening.close()
        self._sockets.clear()

    async def stop(self) -> None:
        """End everything at once."""
        self.stop_accepting()
        await self._tasks.stop()
        while self._unattended:
            self._unattended.pop().close()

    def _accept(self, listening: socket.socket) -> None:
        try:
            for _ in range(_ACCEPTED_AT_ONCE):
                self._take(*listening.accept())
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:  # no more files may be opened, or the like
            log.error("no connection can be accepted: %s", error.strerror)
            loop = asyncio.get_running_loop()
            loop.remove_reader(listening)
            loop.call_later(_PAUSE.total_seconds(), self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _take(self, connection: socket.socket, place: Any) -> None:
        if self._open >= self._limit:
            log.warning("a connection was refused: %d are open", self._open)
            reset_on_close(connection)
            connection.close()
            return
        self._open += 1
        self._unattended.add(connection)
        self._tasks.spawn(self._attend(connection, place))

    async def _attend(self, connection: socket.socket, place: Any) -> None:
        self._unattended.remove(connection)
        try:
            try:
                connection.setblocking(False)
                stream: SocketStream
                if self._tls is None:
                    stream = PlainStream(connection, place)
                else:
                    stream = await secure(connection, self._tls, server_name=None)
            except OSError as error:
                connection.close()
                raise StreamBroken(f"the connection came to nothing ({in_words(error)})") from None
            try:
                await self._serve(stream)
            finally:
                stream.abort()
        except EdgeError as error:
            log.debug("a connection ended: %s", error.message, extra={"code": error.code})
        finally:
            self._open -= 1


class _ListeningSocket(socket.socket):
    """Says at once what it is, which `accept` asks it each time: Python looks for the names of these numbers."""

    def __init__(self, family: int) -> None:
        super().__init__(family)
        self._family = socket.AddressFamily(family)

    @property
    def family(self) -> socket.AddressFamily:
        return self._family

    @property
    def type(self) -> socket.SocketKind:
        return socket.SOCK_STREAM


def _listening(family: int, place: Any) -> socket.socket:
    listening = _ListeningSocket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        make_ready(listening)
        listening.bind(place)
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def _refusal(address: ListenAddress, error: OSError) -> EdgeError:
    if isinstance(error, PermissionError):
        return Denied(f"this user may not listen on {address}", hint="take a port from 1024 up")
    if isinstance(error, socket.gaierror):
        return InvalidValue(f"{address} is no address of this machine")
    return PortInUse(
        f"cannot listen on {address}: the port is in use or the address is not this machine's",
        hint="take another port; 0 takes a free one",
    )
