"""Deciding who calls and whether they may: the credential in the metadata against the table of permissions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from urllib.parse import unquote

import grpc

from edge_server.nodes.domain import NodeIdentity
from edge_server.nodes.service import NodeService
from edge_server.principals.domain import Caller, Principal
from edge_server.principals.service import PrincipalService
from edge_server.rpc.permissions import ACCESS, NodeOnly, Open, Roles
from edge_wire.credentials import hash_token
from edge_wire.errors import Denied, TooManyAttempts, Unauthenticated
from edge_wire.limiter import FailureLimiter

WhoT = TypeVar("WhoT")

_TOKEN_LIMIT = 512
_OPERATOR_HINT = "log in anew: edgectl login"
_NODE_HINT = "if it was deleted: give the agent an empty data directory and enroll it anew"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call on its way through a servicer."""

    method: str
    request_id: str
    peer: str
    _caller: Caller | None = None
    _node: NodeIdentity | None = None

    @property
    def caller(self) -> Caller:
        """The principal that calls."""
        if self._caller is None:
            raise Unauthenticated
        return self._caller

    @property
    def node(self) -> NodeIdentity:
        """The node that calls."""
        if self._node is None:
            raise Unauthenticated
        return self._node


class Gatekeeper:
    """Lets calls in."""

    def __init__(
        self, *, principals: PrincipalService, nodes: NodeService, limiter: FailureLimiter, now: Callable[[], datetime]
    ) -> None:
        self._principals = principals
        self._nodes = nodes
        self._limiter = limiter
        self._now = now

    async def admit(self, method: str, request_id: str, context: grpc.aio.ServicerContext[object, object]) -> Call:
        """The call with who makes it. Raises Unauthenticated, Denied, TooManyAttempts."""
        access = ACCESS[method]
        peer = _peer_address(context.peer())
        if isinstance(access, Open):
            return Call(method=method, request_id=request_id, peer=peer)
        token = _bearer_token(context)
        if isinstance(access, NodeOnly):
            source = peer if token is None else f"{peer} {hash_token(token).hex()}"
            node = await self._limited(source, token, self._nodes.authenticate, _NODE_HINT)
            return Call(method=method, request_id=request_id, peer=peer, _node=node)
        caller = await self.admit_token(method, token, request_id=request_id, peer=peer)
        return Call(method=method, request_id=request_id, peer=peer, _caller=caller)

    async def admit_token(self, method: str, token: str | None, *, request_id: str, peer: str) -> Caller:
        """Whoever shows this token, when the method is for principals and for this one.

        `peer` is an address without a port. Raises Unauthenticated, Denied, TooManyAttempts.
        """
        access = ACCESS[method]
        assert isinstance(access, Roles)

        async def authenticate(shown: str) -> Principal:
            return await self._principals.authenticate(shown, self._now())

        principal = await self._limited(peer, token, authenticate, _OPERATOR_HINT)
        if principal.role not in access.roles:
            raise Denied(f"a credential with the role {principal.role} may not do that")
        return Caller(principal=principal, request_id=request_id, peer=peer)

    async def _limited(
        self, source: str, token: str | None, authenticate: Callable[[str], Awaitable[WhoT]], hint: str
    ) -> WhoT:
        """Authenticate unless this source was refused too often.

        Keys of people can be guessed, so an address has few tries. A node's token is random: only its repetition is
        worth stopping, or one deleted node would shut out all others behind its address.
        """
        if self._limiter.is_blocked(source, self._now()):
            raise TooManyAttempts(hint="wait a minute, and check the credential: edgectl login")
        try:
            if token is None:
                raise Unauthenticated("no credential was sent, or one that is none")
            return await authenticate(token)
        except Unauthenticated as error:
            self._limiter.count(source, self._now())
            error.hint = error.hint or hint
            raise


def _bearer_token(context: grpc.aio.ServicerContext[object, object]) -> str | None:
    values = [value for key, value in context.invocation_metadata() or () if key == "authorization"]
    if len(values) != 1 or not isinstance(values[0], str):
        return None
    scheme, _, token = values[0].partition(" ")
    return token if scheme.lower() == "bearer" and 0 < len(token) <= _TOKEN_LIMIT else None


def _peer_address(peer: str) -> str:
    """`ipv4:127.0.0.1:5000` and `ipv6:%5B::1%5D:5000` without the port: a source has many ports."""
    address = unquote(peer).partition(":")[2]
    return address.rpartition(":")[0] or peer
