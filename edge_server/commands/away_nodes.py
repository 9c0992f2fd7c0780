"""Looking for nodes without a session here: with another admin, or away. Asked of the database, many at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

from edge_server.commands.run import LiveExecution
from edge_server.nodes.domain import NodeId
from edge_wire.errors import DatabaseUnavailable
from edge_wire.tasks import OwnedTasks

log = logging.getLogger(__name__)

_RETRY_SECONDS = 0.5

HeldElsewhere = Callable[[Collection[NodeId]], Awaitable[Mapping[NodeId, str]]]
"""Of these nodes, those whose session another live admin holds, and which. Raises DatabaseUnavailable."""


class Found(Protocol):
    """Told which other admin has the node of an execution: empty when none has."""

    def __call__(self, execution: LiveExecution, *, holder: str, is_stored: bool) -> None: ...


class AwayNodes:
    """Answers for each execution which other admin has its node; at once when there can be no other."""

    def __init__(self, *, held_elsewhere: HeldElsewhere | None, found: Found) -> None:
        self._held_elsewhere = held_elsewhere
        self._found = found
        self._asked: dict[str, tuple[LiveExecution, bool]] = {}
        self._tasks = OwnedTasks(log, "nodes could not be looked for")

    def look_for(self, execution: LiveExecution, *, is_stored: bool) -> None:
        """Have `found` called; `is_stored` says whether it is stored already that the execution waits."""
        if self._held_elsewhere is None:
            self._found(execution, holder="", is_stored=is_stored)
            return
        if not self._asked:
            self._tasks.spawn(self._ask(self._held_elsewhere))
        _, was_stored = self._asked.get(execution.id, (execution, True))
        self._asked[execution.id] = (execution, is_stored and was_stored)  # asked twice: it is to be stored still

    def stop(self) -> None:
        """Look no more."""
        self._tasks.cancel()

    async def _ask(self, held_elsewhere: HeldElsewhere) -> None:
        while True:
            node_ids = {execution.node_id for execution, _ in self._asked.values()}
            try:
                elsewhere = await held_elsewhere(node_ids)
            except DatabaseUnavailable as error:
                log.warning("where nodes are is asked again: %s", error.message)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            break
        asked, self._asked = self._asked, {}
        for execution, is_stored in asked.values():
            if execution.node_id in node_ids:
                self._found(execution, holder=elsewhere.get(execution.node_id, ""), is_stored=is_stored)
            else:
                self.look_for(execution, is_stored=is_stored)
