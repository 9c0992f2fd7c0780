"""The gate behind the local port of `edgectl proxy`: which node, and the tunnel there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from edge_wire.credentials import hash_token, is_same
from edge_wire.errors import EdgeError, Unauthenticated
from edge_wire.streams import Opened
from edge_wire.targets import Target
from edgectl.tunnelling.routes import Routes

OpenTunnel = Callable[[str, Target], AbstractAsyncContextManager[Opened]]
"""Opens a tunnel through a node."""


class LocalGate:
    """The gate of the local port. Without a password a user name other than `_` names the node to go through."""

    def __init__(
        self, *, routes: Routes, login: str, open_tunnel: OpenTunnel, failed: Callable[[Target, EdgeError], None]
    ) -> None:
        self._routes = routes
        self._login_hash = hash_token(login) if login else None
        self._open_tunnel = open_tunnel
        self._failed = failed

    @property
    def needs_password(self) -> bool:
        """Whether whoever reaches the port must show one."""
        return self._login_hash is not None

    async def admit(self, user: str, password: str) -> str:
        """The node that the user name names; empty when the rules decide. Raises Unauthenticated."""
        if self._login_hash is None:
            return "" if user == "_" else user
        if not is_same(self._login_hash, hash_token(f"{user}:{password}")):
            raise Unauthenticated(hint="user and password are those of --auth")
        return ""

    @asynccontextmanager
    async def open(self, route: str, target: Target) -> AsyncIterator[Opened]:
        """A tunnel to the target. Raises TargetInvalid, and what the admin refuses it with."""
        try:
            routes = Routes(rules=(), via=route) if route else self._routes
            node, at_node = routes.node_for(target)
            async with self._open_tunnel(node, at_node) as opened:
                yield opened
        except EdgeError as error:
            self._failed(target, error)
            raise
