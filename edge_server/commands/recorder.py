"""Group commit: transitions of many executions share transactions; who waits is told after the commit.

While the database is away everything waits in order; nothing is dropped, because nodes keep what is not acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from edge_server.commands import repository
from edge_server.commands.transition import Transition
from edge_server.db.database import Database
from edge_wire.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

Committed = Callable[[bool], None]
"""Told after the commit; for SEND whether the execution is sent, else True."""

_BATCH = 2000
_RETRY_SECONDS = 0.5


class Recorder:
    """Writes transitions in batches."""

    def __init__(self, *, db: Database, now: Callable[[], datetime]) -> None:
        self._db = db
        self._now = now
        self._waiting: list[tuple[Transition, Committed]] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name="recorder")

    async def stop(self) -> None:
        """Write what waits, then end. What cannot be written is reported again by the nodes."""
        self._is_stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task

    def submit(self, transition: Transition, committed: Committed) -> None:
        """Queue one transition."""
        self._waiting.append((transition, committed))
        self._wake.set()

    async def _run(self) -> None:
        while self._waiting or not self._is_stopping:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            if not await self._write(batch):
                return

    async def _write(self, batch: list[tuple[Transition, Committed]]) -> bool:
        """Commit one batch; False when the program stops before the database is back."""
        transitions = [transition for transition, _ in batch]
        while True:
            try:
                sent = await self._db.write(lambda tx: repository.apply(tx, transitions, self._now()))
            except DatabaseUnavailable as error:
                log.warning("results wait for the database: %s", error.message)
                if self._is_stopping:
                    return False
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            except Exception as error:  # one unwritable transition must not hold back all others
                if len(batch) == 1:
                    log.exception("a transition cannot be written", extra={"execution": transitions[0].execution_id})
                    return True
                log.warning("a batch of %d is written one by one: %s", len(batch), error)
                return all([await self._write([item]) for item in batch])
            for transition, committed in batch:
                committed(transition.event.value != "send" or transition.execution_id in sent)
            return True
