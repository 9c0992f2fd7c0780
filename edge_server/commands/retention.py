"""Retention: commands that are over go by age and by number, so that the database does not grow for ever.

They are hidden in one step and removed in many: a batch is as large as takes 8 ms, and after each the others have the
database for four times as long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from edge_server.commands import removal
from edge_server.db.database import Database

log = logging.getLogger(__name__)

_HIDE_AT_ONCE = 200
_SMALLEST_BATCH, _LARGEST_BATCH = 25, 400
_BATCH_SECONDS = 0.008
_REST = 4.0
"""How long to wait after a batch, in times of what it took."""


@dataclass(frozen=True, kw_only=True)
class Keep:
    """What is kept of commands that are over; None: without a bound."""

    age: timedelta | None
    executions: int | None


class Retention:
    """Hides what is too old or too much, and removes what is hidden."""

    def __init__(self, *, db: Database, keep: Keep, now: Callable[[], datetime], clock: Callable[[], float]) -> None:
        self._db = db
        self._keep = keep
        self._now = now
        self._clock = clock
        self._batch = _SMALLEST_BATCH

    async def hide_old(self) -> None:
        """Hide commands by age and by number. Raises DatabaseUnavailable."""
        hidden = await self._hide_by_age() + await self._hide_by_number()
        if hidden:
            log.info("%d commands are over for longer, or are more, than is kept; they are being removed", hidden)

    async def remove_hidden(self) -> None:
        """Remove everything that is hidden, a little at a time. Raises DatabaseUnavailable."""
        while True:
            size, began = self._batch, self._clock()
            removed = await self._db.write(lambda tx: removal.remove_some(tx, size))  # noqa: B023  # awaited here
            if removed == 0:
                return
            took = self._clock() - began
            self._batch = next_batch(size, took)
            await asyncio.sleep(took * _REST)

    async def _hide_by_age(self) -> int:
        if self._keep.age is None:
            return 0
        moment = self._now() - self._keep.age

        def work(tx: Session) -> int:
            return removal.hide(tx, removal.list_finished_before(tx, moment, _HIDE_AT_ONCE), self._now())

        return await self._repeat(work)

    async def _hide_by_number(self) -> int:
        most = self._keep.executions
        if most is None:
            return 0
        stored = await self._db.read(lambda tx: removal.count_executions(tx) - removal.count_hidden(tx))
        surplus = stored - most

        def work(tx: Session) -> int:
            nonlocal surplus
            chosen = []
            for command_id, count in removal.list_oldest_finished(tx, _HIDE_AT_ONCE):
                if surplus <= 0:
                    break
                chosen.append(command_id)
                surplus -= count
            return removal.hide(tx, chosen, self._now())

        return await self._repeat(work)

    async def _repeat(self, work: Callable[[Session], int]) -> int:
        total = 0
        while True:
            began = self._clock()
            hidden = await self._db.write(work)
            total += hidden
            if hidden < _HIDE_AT_ONCE:
                return total
            await asyncio.sleep((self._clock() - began) * _REST)


def next_batch(size: int, took: float) -> int:
    """How many rows the next batch removes, after one of `size` that took so many seconds."""
    fits = int(size * _BATCH_SECONDS / max(took, 0.0001))
    return max(_SMALLEST_BATCH, min(_LARGEST_BATCH, 2 * size, fits))
