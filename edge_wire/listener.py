"""Accepting TCP connections: a bounded number at once, each served by a task that the listener owns."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address

from edge_wire.errors import Denied, EdgeError, InvalidValue, PortInUse
from edge_wire.names import host_and_port, quoted
from edge_wire.sockets import SocketStream
from edge_wire.tasks import OwnedTasks

log = logging.getLogger(__name__)

CONNECTIONS_LIMIT = 10_000
_BACKLOG = 1024


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
        self._server: asyncio.Server | None = None

    async def open(self, address: ListenAddress, tls: ssl.SSLContext | None = None) -> ListenAddress:
        """Listen; returns where. Raises PortInUse, Denied, InvalidValue."""
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                lambda: _Accepted(self._accept), address.host, address.port, ssl=tls, backlog=_BACKLOG
            )
        except OSError as error:
            raise _refusal(address, error) from None
        self._server = server
        return ListenAddress(host=address.host, port=server.sockets[0].getsockname()[1])

    def stop_accepting(self) -> None:
        """Take no more connections; those there are go on."""
        if self._server is not None:
            self._server.close()

    async def stop(self) -> None:
        """End everything at once."""
        self.stop_accepting()
        await self._tasks.stop()

    def _accept(self, stream: SocketStream) -> None:
        if self._open >= self._limit:
            log.warning("a connection was refused: %d are open", self._open)
            stream.abort()
            return
        self._open += 1
        self._tasks.spawn(self._attend(stream))

    async def _attend(self, stream: SocketStream) -> None:
        try:
            await self._serve(stream)
        except EdgeError as error:
            log.debug("a connection ended: %s", error.message, extra={"code": error.code})
        finally:
            self._open -= 1
            stream.abort()


class _Accepted(SocketStream):
    """A connection that somebody opened to us."""

    def __init__(self, accept: Callable[[SocketStream], None]) -> None:
        super().__init__()
        self._accept = accept

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._accept(self)


def _refusal(address: ListenAddress, error: OSError) -> EdgeError:
    if isinstance(error, PermissionError):
        return Denied(f"this user may not listen on {address}", hint="take a port from 1024 up")
    if isinstance(error, socket.gaierror):
        return InvalidValue(f"{address} is no address of this machine")
    return PortInUse(
        f"cannot listen on {address}: the port is in use or the address is not this machine's",
        hint="take another port; 0 takes a free one",
    )
