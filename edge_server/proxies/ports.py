"""The proxy ports of this admin: opening them, with TLS or without, and closing them."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from edge_server.proxies.gate import AdminGate
from edge_server.proxies.service import TunnelService
from edge_server.rpc.gatekeeper import Gatekeeper
from edge_wire.certificates import Identity
from edge_wire.errors import PortInUse
from edge_wire.listener import ListenAddress, Listener
from edge_wire.proxies.serving import serve_http, serve_socks5
from edge_wire.sockets import SocketStream

log = logging.getLogger(__name__)

PSEUDONYM = "edge-admin"
"""What this proxy calls itself in `Via`, with its id behind it."""


@dataclass(frozen=True, kw_only=True)
class ProxyAddress:
    """Where a proxy listens, as it was asked for."""

    address: ListenAddress
    is_default: bool
    """Nobody asked for it: when the port is taken the admin goes on without."""
    has_tls: bool


@dataclass(frozen=True, kw_only=True)
class OpenPort:
    """A proxy port that is open."""

    address: ListenAddress
    has_tls: bool


class ProxyPorts:
    """The HTTP and the SOCKS5 port."""

    def __init__(
        self,
        *,
        gatekeeper: Gatekeeper,
        tunnels: TunnelService,
        identity: Identity,
        admin_id: str,
        handshake_timeout: timedelta,
    ) -> None:
        self._gatekeeper = gatekeeper
        self._tunnels = tunnels
        self._identity = identity
        self._pseudonym = f"{PSEUDONYM}-{admin_id[:8]}"
        self._handshake_timeout = handshake_timeout
        self._listeners: list[Listener] = []
        self.http: OpenPort | None = None
        self.socks5: OpenPort | None = None

    async def open(self, *, http: ProxyAddress | None, socks5: ProxyAddress | None) -> None:
        """Listen. Raises PortInUse, Denied, InvalidValue for an address that was asked for."""
        self.http = await self._open_one(http, self._serve_http)
        self.socks5 = await self._open_one(socks5, self._serve_socks5)

    def stop_accepting(self) -> None:
        """Take no more connections; those there are go on."""
        for listener in self._listeners:
            listener.stop_accepting()

    async def stop(self) -> None:
        """End everything at once."""
        for listener in self._listeners:
            await listener.stop()

    async def _open_one(
        self, wanted: ProxyAddress | None, serve: Callable[[SocketStream, bool], Awaitable[None]]
    ) -> OpenPort | None:
        if wanted is None:
            return None
        is_private = wanted.has_tls or wanted.address.is_loopback
        listener = Listener(lambda stream: serve(stream, is_private))
        try:
            address = await listener.open(wanted.address, _tls(self._identity) if wanted.has_tls else None)
        except PortInUse as error:
            if not wanted.is_default:
                raise
            log.warning("no proxy on %s: %s", wanted.address, error.message)
            return None
        self._listeners.append(listener)
        return OpenPort(address=address, has_tls=wanted.has_tls)

    async def _serve_http(self, stream: SocketStream, is_private: bool) -> None:
        gate = self._gate(stream, "http", is_private)
        await serve_http(stream, gate, pseudonym=self._pseudonym, handshake_timeout=self._handshake_timeout)

    async def _serve_socks5(self, stream: SocketStream, is_private: bool) -> None:
        await serve_socks5(stream, self._gate(stream, "socks5", is_private), handshake_timeout=self._handshake_timeout)

    def _gate(self, stream: SocketStream, via: str, is_private: bool) -> AdminGate:
        return AdminGate(
            gatekeeper=self._gatekeeper,
            tunnels=self._tunnels,
            peer=stream.peer_address,
            via=via,
            is_private=is_private,
        )


def _tls(identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python loads keys from files only: this one is in memory and gone when it is closed.
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(identity.certificate_chain + identity.key)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    return context
