"""Deciding who calls and whether they may: the credential in the metadata against the table of permissions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote

import grpc

from edge_server.nodes.domain import NodeIdentity
from edge_server.nodes.service import NodeService
from edge_server.principals.domain import Caller
from edge_server.principals.service import PrincipalService
from edge_server.rpc.limiter import FailureLimiter
from edge_server.rpc.permissions import ACCESS, Access, NodeOnly, Open
from edge_wire.credentials import hash_token
from edge_wire.errors import Denied, TooManyAttempts, Unauthenticated

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
        source = _source(peer, token, access)
        if self._limiter.is_blocked(source, self._now()):
            raise TooManyAttempts(hint="wait a minute, and check the credential: edgectl login")
        try:
            if token is None:
                raise Unauthenticated("no credential was sent, or one that is none")
            if isinstance(access, NodeOnly):
                node = await self._nodes.authenticate(token)
                return Call(method=method, request_id=request_id, peer=peer, _node=node)
            principal = await self._principals.authenticate(token, self._now())
        except Unauthenticated as error:
            self._limiter.count(source, self._now())
            error.hint = error.hint or (_NODE_HINT if isinstance(access, NodeOnly) else _OPERATOR_HINT)
            raise
        if principal.role not in access.roles:
            raise Denied(f"a credential with the role {principal.role} may not do that")
        caller = Caller(principal=principal, request_id=request_id, peer=peer)
        return Call(method=method, request_id=request_id, peer=peer, _caller=caller)


def _bearer_token(context: grpc.aio.ServicerContext[object, object]) -> str | None:
    values = [value for key, value in context.invocation_metadata() or () if key == "authorization"]
    if len(values) != 1 or not isinstance(values[0], str):
        return None
    scheme, _, token = values[0].partition(" ")
    return token if scheme.lower() == "bearer" and 0 < len(token) <= _TOKEN_LIMIT else None


def _source(peer: str, token: str | None, access: Access) -> str:
    """Whose refusals are counted together.

    Keys of people can be guessed, so an address has few tries. A node's token is random: only its repetition is worth
    stopping, or one deleted node would shut out all others behind its address.
    """
    if token is None or not isinstance(access, NodeOnly):
        return peer
    return f"{peer} {hash_token(token).hex()}"


def _peer_address(peer: str) -> str:
    """`ipv4:127.0.0.1:5000` and `ipv6:%5B::1%5D:5000` without the port: a source has many ports."""
    address = unquote(peer).partition(":")[2]
    return address.rpartition(":")[0] or peer
