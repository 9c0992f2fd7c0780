"""A connection to an admin: the context's URLs in order, the credential, and one stub per service."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before gRPC is imported; its own lines explain nothing to operators

import grpc

from edge_wire import calls
from edge_wire.channel import open_channel
from edge_wire.errors import Unavailable
from edge_wire.v1 import principal_pb2
from edgectl.contexts import Context, find_context
from edgectl.invocation import Invocation
from edgectl.secret_store import read_token

if TYPE_CHECKING:
    from edge_wire.v1 import (
        admin_pb2_grpc,
        audit_pb2_grpc,
        cluster_pb2_grpc,
        command_pb2_grpc,
        enrollment_pb2_grpc,
        node_pb2,
        node_pb2_grpc,
        principal_pb2_grpc,
        selector_pb2,
        ssh_pb2_grpc,
        tunnel_pb2_grpc,
    )

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class Admin:
    """An admin that answers. A service's stub is imported by whoever uses it: no command uses many."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self.channel = channel
        self.token = token

    async def call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        *,
        timeout: timedelta = calls.UNARY_TIMEOUT,
    ) -> ResponseT:
        """Make one unary call. Raises EdgeError."""
        return await calls.call(method, request, token=self.token, timeout=timeout)

    @cached_property
    def admins(self) -> admin_pb2_grpc.AdminServiceAsyncStub:
        from edge_wire.v1 import admin_pb2_grpc

        return admin_pb2_grpc.AdminServiceStub(self.channel)

    @cached_property
    def audit(self) -> audit_pb2_grpc.AuditServiceAsyncStub:
        from edge_wire.v1 import audit_pb2_grpc

        return audit_pb2_grpc.AuditServiceStub(self.channel)

    @cached_property
    def clusters(self) -> cluster_pb2_grpc.ClusterServiceAsyncStub:
        from edge_wire.v1 import cluster_pb2_grpc

        return cluster_pb2_grpc.ClusterServiceStub(self.channel)

    @cached_property
    def commands(self) -> command_pb2_grpc.CommandServiceAsyncStub:
        from edge_wire.v1 import command_pb2_grpc

        return command_pb2_grpc.CommandServiceStub(self.channel)

    @cached_property
    def enrollment_keys(self) -> enrollment_pb2_grpc.EnrollmentKeyServiceAsyncStub:
        from edge_wire.v1 import enrollment_pb2_grpc

        return enrollment_pb2_grpc.EnrollmentKeyServiceStub(self.channel)

    @cached_property
    def nodes(self) -> node_pb2_grpc.NodeServiceAsyncStub:
        from edge_wire.v1 import node_pb2_grpc

        return node_pb2_grpc.NodeServiceStub(self.channel)

    @cached_property
    def ssh(self) -> ssh_pb2_grpc.SshServiceAsyncStub:
        from edge_wire.v1 import ssh_pb2_grpc

        return ssh_pb2_grpc.SshServiceStub(self.channel)

    @cached_property
    def ssh_keys(self) -> ssh_pb2_grpc.SshKeyServiceAsyncStub:
        from edge_wire.v1 import ssh_pb2_grpc

        return ssh_pb2_grpc.SshKeyServiceStub(self.channel)

    @cached_property
    def ssh_users(self) -> ssh_pb2_grpc.SshUserServiceAsyncStub:
        from edge_wire.v1 import ssh_pb2_grpc

        return ssh_pb2_grpc.SshUserServiceStub(self.channel)

    @cached_property
    def tokens(self) -> principal_pb2_grpc.TokenServiceAsyncStub:
        from edge_wire.v1 import principal_pb2_grpc

        return principal_pb2_grpc.TokenServiceStub(self.channel)

    @cached_property
    def tunnels(self) -> tunnel_pb2_grpc.TunnelServiceAsyncStub:
        from edge_wire.v1 import tunnel_pb2_grpc

        return tunnel_pb2_grpc.TunnelServiceStub(self.channel)


@asynccontextmanager
async def connected(invocation: Invocation) -> AsyncIterator[Admin]:
    """The admin of this call's context. Raises NotLoggedIn, ContextNotFound, CredentialUnreadable, Unavailable."""
    context = find_context(invocation.context)
    async with connected_to(context, read_token(context)) as admin:
        try:
            yield admin
        except Unavailable as error:
            if type(error) is Unavailable and not error.hint:
                error.hint = (
                    "edgectl demo up"
                    if context.name == "demo"
                    else f"is it running? edgectl context show {context.name}"
                )
            raise


@asynccontextmanager
async def connected_to(context: Context, token: str) -> AsyncIterator[Admin]:
    """The first admin of a context that answers; with one URL nothing is asked beforehand."""
    admin = await _first_answering(context, token)
    try:
        yield admin
    finally:
        await admin.channel.close()


async def _first_answering(context: Context, token: str) -> Admin:
    urls: Sequence[str] = context.admin_urls
    for url in urls[:-1]:
        admin = Admin(open_channel(url, [context.ca_certificate]), token)
        try:
            await admin.call(admin.tokens.WhoAmI, principal_pb2.WhoAmIRequest(), timeout=timedelta(seconds=5))
        except Unavailable:
            await admin.channel.close()
        else:
            return admin
    return Admin(open_channel(urls[-1], [context.ca_certificate]), token)


async def select_nodes(admin: Admin, selector: selector_pb2.Selector) -> Sequence[node_pb2.Node]:
    """Every node that a selector picks, page by page. Raises EdgeError."""
    from edge_wire.v1 import node_pb2

    found: list[node_pb2.Node] = []
    token = ""
    while True:
        request = node_pb2.ListNodesRequest(selector=selector, page_token=token)
        page = await admin.call(admin.nodes.List, request)
        found += page.nodes
        token = page.next_page_token
        if not token:
            return found


def ask(invocation: Invocation, question: Callable[[Admin], Awaitable[ResponseT]]) -> ResponseT:
    """Connect, ask one thing, leave. Raises EdgeError."""

    async def work() -> ResponseT:
        async with connected(invocation) as admin:
            return await question(admin)

    return asyncio.run(work())
