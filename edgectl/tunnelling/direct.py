"""Tunnels by the admin's HTTP proxy port instead of its gRPC port: `edgectl proxy --direct`."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from edge_wire.channel import host_of
from edge_wire.errors import AdminUntrusted, Denied, Unavailable
from edge_wire.proxies.http_connect import reach_through
from edge_wire.roles import SERVER_NAMES
from edge_wire.sockets import PlainStream, SocketStream, make_ready
from edge_wire.streams import UNLIMITED, Flow, Opened
from edge_wire.targets import Target
from edge_wire.tls_stream import secure
from edge_wire.v1 import admin_pb2
from edgectl.connect import Admin
from edgectl.contexts import Context

_USUAL_PORT = 43128
_ANSWER_WITHIN = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True)
class _Place:
    host: str
    port: int
    has_tls: bool


class DirectTunnels:
    """Asks where the proxy is when it is first needed."""

    def __init__(self, *, admin: Admin, context: Context) -> None:
        self._admin = admin
        self._context = context
        self._place: _Place | None = None

    @asynccontextmanager
    async def open_tunnel(self, node: str, target: Target) -> AsyncIterator[Opened]:
        """A tunnel through a node for the time of the block. Raises Unavailable, and what the proxy refuses it with."""
        self._place = self._place or await self._find_place()
        # The node itself is named by its DNS form, as a target; as an exit it is the user.
        user = "_" if target.is_self else node
        asked = Target(host=node, port=target.port, address=None) if target.is_self else target
        stream = await self._connect(self._place)
        try:
            async with asyncio.timeout(_ANSWER_WITHIN.total_seconds()):
                tunnel = await reach_through(stream, asked, user=user, password=self._admin.token)
            yield Opened(stream=tunnel, peer="", limits=UNLIMITED, flow=Flow())
        except TimeoutError:
            raise Unavailable("the admin's proxy does not answer") from None
        finally:
            stream.abort()

    async def _find_place(self) -> _Place:
        host = host_of(self._context.admin_urls[0])
        try:
            status = await self._admin.call(self._admin.admins.GetStatus, admin_pb2.GetStatusRequest())
        except Denied:  # a credential for proxies alone may not ask
            return _Place(host=host, port=_USUAL_PORT, has_tls=True)
        if not status.HasField("http_proxy"):
            raise Unavailable("the admin has no HTTP proxy", hint="leave out --direct, or set its HTTP_PROXY_LISTEN")
        return _Place(host=host, port=status.http_proxy.port, has_tls=status.http_proxy.has_tls)

    async def _connect(self, place: _Place) -> SocketStream:
        try:
            async with asyncio.timeout(_ANSWER_WITHIN.total_seconds()):
                connection = await _connected(place)
                if place.has_tls:
                    return await secure(connection, self._tls(), server_name=SERVER_NAMES["admin"])
                return PlainStream(connection, connection.getpeername())
        except ssl.SSLCertVerificationError:
            raise AdminUntrusted(hint="the address is another installation's, or someone is in between") from None
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"the admin's proxy {place.host}:{place.port} cannot be reached ({error})") from None

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self._context.ca_certificate)


async def _connected(place: _Place) -> socket.socket:
    """Connect to the first address of the name that answers. Raises OSError."""
    loop = asyncio.get_running_loop()
    failures: list[OSError] = []
    for family, *_, address in await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM):
        connection = socket.socket(family)
        try:
            make_ready(connection)
            await loop.sock_connect(connection, address)
        except BaseException as error:
            connection.close()
            if not isinstance(error, OSError):
                raise
            failures.append(error)
        else:
            return connection
    raise failures[0]
