"""Group commit: transitions of many executions share transactions; who waits is told after the commit.

While the database is away everything waits in order; nothing is dropped, because nodes keep what is not acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from edge_server.commands import storing
from edge_server.commands.storing import Stored
from edge_server.commands.transition import Transition
from edge_server.db.database import Database
from edge_wire.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

Committed = Callable[[Stored], None]
"""Told after the commit where the execution stands now."""

_BATCH = 2000
_BATCH_BYTES = 8 * 1024 * 1024
"""Output in one transaction: more would hold a lock for long."""
_RETRY_SECONDS = 0.5
_CROWD = 4
"""Executions in one transaction from which on the next one waits, for `_REST` times as long as this one took."""
_REST = 1.0
_LONGEST_REST_SECONDS = 0.05


class Recorder:
    """Writes transitions in batches."""

    def __init__(self, *, db: Database, now: Callable[[], datetime]) -> None:
        self._db = db
        self._now = now
        self._waiting: deque[tuple[Transition, Committed]] = deque()
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name="recorder")

    async def stop(self) -> None:
        """Write what waits, then end. What cannot be written is reported again by the nodes."""
        self._is_stopping = True
        self._wake.set()
        self._hurry.set()
        if self._task is not None:
            await self._task

    def submit(self, transition: Transition, committed: Committed) -> None:
        """Queue one transition."""
        self._waiting.append((transition, committed))
        self._wake.set()

    def hurry(self) -> None:
        """Wait for nothing more: whoever submitted last knows that no company comes."""
        self._hurry.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting or not self._is_stopping:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            self._hurry.clear()
            began, batch = loop.time(), self._next_batch()
            if not await self._write(batch):
                return
            crowd = {transition.execution_id for transition, _ in batch}
            if len(crowd) >= _CROWD and not self._is_stopping:
                # So many come at once that more are on their way: larger transactions, and fewer of them.
                await self._rest(min((loop.time() - began) * _REST, _LONGEST_REST_SECONDS))

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), seconds)

    def _next_batch(self) -> list[tuple[Transition, Committed]]:
        batch: list[tuple[Transition, Committed]] = []
        size = 0
        while self._waiting and len(batch) < _BATCH and size < _BATCH_BYTES:
            batch.append(self._waiting.popleft())
            size += batch[-1][0].output_size
        return batch

    async def _write(self, batch: Sequence[tuple[Transition, Committed]]) -> bool:
        """Commit one batch; False when the program stops before the database is back."""
        transitions = [transition for transition, _ in batch]
        while True:
            try:
                stored = await self._db.write(lambda tx: storing.apply(tx, transitions, self._now()))
            except DatabaseUnavailable as error:
                log.debug("results wait for the database: %s", error.message)
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
                _tell(transition, committed, stored[transition.execution_id])
            return True


def _tell(transition: Transition, committed: Committed, stored: Stored) -> None:
    try:
        committed(stored)
    except Exception:  # whoever waits for the next one must not wait for ever
        log.exception("a stored transition could not be told", extra={"execution": transition.execution_id})
