"""The gate behind a proxy port: who may pass, and the way to a target. The proxies speak protocols and never dial."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from edge_wire.streams import Opened
from edge_wire.targets import Target

RouteT = TypeVar("RouteT")


class ProxyGate(Protocol[RouteT]):
    """Decides for a proxy port. `RouteT` is whatever it makes of the credentials of a client."""

    @property
    def needs_password(self) -> bool:
        """Whether a client without credentials is told to bring some; if not, it is admitted as ("", "")."""

    async def admit(self, user: str, password: str) -> RouteT:
        """The route that these credentials choose; raises Unauthenticated, or another EdgeError."""

    def open(self, route: RouteT, target: Target) -> AbstractAsyncContextManager[Opened]:
        """Dial; raises an EdgeError when the target did not answer. Leaving the context closes and accounts."""
