"""The gRPC listener: all services on one TLS port."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer

from edge_server.rpc.binder import bind
from edge_server.rpc.gatekeeper import Call, Gatekeeper
from edge_wire.certificates import Identity
from edge_wire.channel import SERVER_OPTIONS
from edge_wire.errors import Denied, EdgeError, NotFound, PortInUse


class HealthServicer:
    """The standard health service; open to anyone and says nothing but whether this admin serves."""

    def __init__(self) -> None:
        self._health = health.aio.HealthServicer()

    async def set_serving(self, is_serving: bool) -> None:
        """Say whether this admin takes calls."""
        status = health_pb2.HealthCheckResponse.SERVING if is_serving else health_pb2.HealthCheckResponse.NOT_SERVING
        await self._health.set("", status)

    async def Check(self, call: Call, request: Message) -> Any:  # noqa: N802  # gRPC's name
        return await self._health.Check(request, _NotFound())

    async def List(self, call: Call, request: Message) -> Any:  # noqa: N802  # gRPC's name
        status = await self._health.Check(health_pb2.HealthCheckRequest(), _NotFound())
        return health_pb2.HealthListResponse(statuses={"": status})

    async def Watch(self, call: Call, request: Message) -> AsyncGenerator[Any, None]:  # noqa: N802  # gRPC's name
        async for response in self._health.Watch(request, _NotFound()):
            yield response


class _NotFound:
    """What the health servicer needs of a context: a way to refuse an unknown service."""

    async def abort(self, code: grpc.StatusCode, details: str = "") -> None:
        raise NotFound("there is no such service")


class ReflectionAdapter:
    """The standard reflection service behind the same gate as everything else."""

    def __init__(self, service_names: list[str]) -> None:
        self._reflection = ReflectionServicer(service_names)

    async def ServerReflectionInfo(  # noqa: N802  # gRPC's name
        self, call: Call, requests: AsyncIterator[Message]
    ) -> AsyncGenerator[Any, None]:
        async for response in self._reflection.ServerReflectionInfo(requests, None):
            yield response


def new_server() -> grpc.aio.Server:
    """A server without services."""
    return grpc.aio.server(options=SERVER_OPTIONS)


def add_services(server: grpc.aio.Server, services: Mapping[ServiceDescriptor, object], gatekeeper: Gatekeeper) -> None:
    """Bind every service, and reflection over them. Before the server starts."""
    names = [service.full_name for service in services]
    reflection = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
    bound = {**services, reflection: ReflectionAdapter([*names, reflection.full_name])}
    server.add_generic_rpc_handlers(tuple(bind(service, servicer, gatekeeper) for service, servicer in bound.items()))


def listen(server: grpc.aio.Server, address: str, identity: Identity) -> int:
    """Open the port and return its number. Raises PortInUse, Denied."""
    credentials = grpc.ssl_server_credentials([(identity.key, identity.certificate_chain)])
    try:
        return server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise _refusal(address) from error


def _refusal(address: str) -> EdgeError:
    """Why the port cannot be had: gRPC only says that it cannot, the kernel says more."""
    host, _, port = address.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, place = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(place)
    except PermissionError:
        return Denied(
            f"this user may not listen on {address}",
            hint="set GRPC_LISTEN to a port from 1024 up, or give the program CAP_NET_BIND_SERVICE",
        )
    except OSError:
        pass
    return PortInUse(
        f"cannot listen on {address}: the port is in use or the address is not this machine's",
        hint="set GRPC_LISTEN to another address or port",
    )
