"""The admins of a context for programs that stay: whichever answers carries the next tunnel, for ever."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from edge_wire.channel import open_channel
from edge_wire.errors import EdgeError, NodeOnOtherAdmin, ShuttingDown, Unavailable
from edge_wire.streams import Opened
from edge_wire.targets import Target
from edgectl.connect import Admin
from edgectl.contexts import Context
from edgectl.tunnelling.opening import open_tunnel


class Admins:
    """A channel to each of them, opened when it is used and kept; gRPC connects again by itself."""

    def __init__(self, context: Context, token: str) -> None:
        self._admins = deque(Admin(open_channel(url, [context.ca_certificate]), token) for url in context.admin_urls)

    @property
    def first(self) -> Admin:
        """The one that answered last."""
        return self._admins[0]

    @asynccontextmanager
    async def open_tunnel(self, node: str, target: Target) -> AsyncIterator[Opened]:
        """A tunnel by the first admin that can, beginning with the one that answered last."""
        async with AsyncExitStack() as stack:
            yield await self._open_by_any(stack, node, target)

    async def close(self) -> None:
        """End every connection."""
        for admin in self._admins:
            await admin.channel.close()

    async def _open_by_any(self, stack: AsyncExitStack, node: str, target: Target) -> Opened:
        failure: EdgeError | None = None
        for _ in range(len(self._admins)):
            try:
                return await stack.enter_async_context(open_tunnel(self.first, node, target))
            except EdgeError as error:
                if not _is_for_another(error):
                    raise
                failure = failure or error
                self._admins.rotate(-1)
        assert failure is not None  # there is at least one admin
        raise failure


def _is_for_another(error: EdgeError) -> bool:
    """Whether another admin may do it: this one is not there, or does not have the node's session."""
    return type(error) is Unavailable or isinstance(error, (NodeOnOtherAdmin, ShuttingDown))
