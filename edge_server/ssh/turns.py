"""What a node says, one after the other: later words of it wait for earlier ones, and only so many may wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from edge_server.nodes.domain import NodeId

LIMIT = 100
"""What may wait of one node; what is beyond it says again in its next session."""


class Turns:
    """A queue per node."""

    Work = Callable[[], Awaitable[None]]

    def __init__(self) -> None:
        self._locks: dict[NodeId, asyncio.Lock] = {}
        self._waiting: dict[NodeId, int] = {}

    def next_of(self, node_id: NodeId, work: Work) -> Coroutine[Any, Any, None] | None:
        """The work, to be run as a task at once: it waits for its turn by itself. None when too much waits."""
        if self._waiting.get(node_id, 0) >= LIMIT:
            return None
        self._waiting[node_id] = self._waiting.get(node_id, 0) + 1
        return self._run(node_id, self._locks.setdefault(node_id, asyncio.Lock()), work)

    async def _run(self, node_id: NodeId, lock: asyncio.Lock, work: Work) -> None:
        try:
            async with lock:  # which is fair: tasks get it in the order in which they ask
                await work()
        finally:
            self._waiting[node_id] -= 1
            if not self._waiting[node_id]:
                del self._waiting[node_id], self._locks[node_id]
