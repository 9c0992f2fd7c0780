"""Ports of the node that lead back to a client (`ssh -R`): on loopback only, a bounded number, gone with the client."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

from edge_agent.ssh.deeds import Deeds
from edge_agent.ssh.forwarding import Forwarding
from edge_agent.ssh.transport import Transport
from edge_wire.errors import Denied, EdgeError, InvalidValue
from edge_wire.listener import ListenAddress, Listener
from edge_wire.names import host_and_port, printable
from edge_wire.sockets import SocketStream

log = logging.getLogger(__name__)

_LIMIT = 16
"""Ports of one connection."""
_EVER_LIMIT = 1000
"""Listeners that one connection opens in all of its time."""
_OPEN_SECONDS = 15.0
_LEAST_PORT = 1024
"""Below it only root listens."""
_ADDRESSES = ("127.0.0.1", "::1")


class RemoteForwarding:
    """The ports of one client. On the event loop."""

    def __init__(self, *, transport: Transport, forwarding: Forwarding, deeds: Deeds, max_connections: int) -> None:
        self._transport = transport
        self._forwarding = forwarding
        self._deeds = deeds
        self._max_connections = max_connections
        self._listeners: dict[tuple[str, int], list[Listener]] = {}
        """By the address that was asked for, and the port."""
        self._all: list[Listener] = []
        """Those that were given back too: their connections go on."""

    async def open(self, address: str, port: int, *, is_root: bool) -> int:
        """Listen on a port, 0 for a free one; returns which. Raises EdgeError."""
        if not 0 <= port <= 65535 or self._is_full or (address, port) in self._listeners:
            raise InvalidValue("this port is not to be had")
        if 0 < port < _LEAST_PORT and not is_root:
            raise Denied("only root listens there")
        listeners: list[Listener] = []
        first = self._listener(address, lambda: port)
        port = (await first.open(ListenAddress(host=_ADDRESSES[0], port=port))).port
        listeners.append(first)
        second = self._listener(address, lambda: port)
        with suppress(EdgeError):  # not every machine has IPv6
            await second.open(ListenAddress(host=_ADDRESSES[1], port=port))
            listeners.append(second)
        self._listeners[address, port] = listeners
        self._deeds.add_forwarding("remote", host_and_port(printable(address), port))
        return port

    async def close(self, address: str, port: int) -> None:
        """Stop listening; connections go on."""
        for listener in self._listeners.pop((address, port), []):
            listener.stop_accepting()

    async def stop(self) -> None:
        """End everything."""
        for listener in self._all:
            await listener.stop()

    @property
    def _is_full(self) -> bool:
        return len(self._listeners) >= _LIMIT or len(self._all) >= _EVER_LIMIT

    def _listener(self, address: str, port: Callable[[], int]) -> Listener:
        async def serve(stream: SocketStream) -> None:
            here, there = (address, port()), (stream.peer_address.strip("[]"), _port_of(stream))
            await self._forwarding.join(
                lambda: self._transport.open_channel("forwarded-tcpip", here, there, timeout=_OPEN_SECONDS), stream
            )

        listener = Listener(serve, limit=self._max_connections)
        self._all.append(listener)
        return listener


def _port_of(stream: SocketStream) -> int:
    port = stream.peer.rpartition(":")[2]
    return int(port) if port else 0
