"""Transactions: a plain function run on a database thread, committed in this one place.

Because a transaction is a plain function it cannot await, so none can wait for a network while it holds locks; and it
may be run again when it collided with another one, so it leaves nothing behind but what it returns.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from edge_server.db import failures
from edge_server.db.engine import WRITE
from edge_wire.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

QUEUE_LIMIT = timedelta(seconds=8)
"""How long a transaction may wait for a database thread. One that was not begun then never happens."""
_COLLISIONS_BORNE = 5
_LONGEST_PAUSE_SECONDS = 0.2


class Database:
    """Runs transactions off the event loop. SQLite writes one at a time, PostgreSQL as many as its pool is large."""

    def __init__(self, engine: Engine, *, threads: int, queue_limit: timedelta = QUEUE_LIMIT) -> None:
        self._engine = engine
        self._write_engine = engine.execution_options(**WRITE)
        self._queue_limit = queue_limit
        self._down_since: float | None = None
        writers = 1 if self.is_sqlite else threads
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="db-write")
        self._readers = ThreadPoolExecutor(threads, thread_name_prefix="db-read") if self.is_sqlite else self._writers

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite."""
        return self._engine.dialect.name == "sqlite"

    @property
    def kind(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    async def read(self, work: Callable[[Session], ResultT]) -> ResultT:
        """Run `work` in a transaction that only reads. Raises DatabaseUnavailable."""
        return await self._hop(self._readers, self._engine, work)

    async def write(self, work: Callable[[Session], ResultT]) -> ResultT:
        """Run `work` in a transaction and commit it. Raises DatabaseUnavailable."""
        return await self._hop(self._writers, self._write_engine, work)

    def close(self) -> None:
        """Finish what runs and let every connection go."""
        self._readers.shutdown()
        self._writers.shutdown()
        self._engine.dispose()

    async def _hop(self, threads: ThreadPoolExecutor, engine: Engine, work: Callable[[Session], ResultT]) -> ResultT:
        loop, is_late = asyncio.get_running_loop(), False
        running = threads.submit(_transact, engine, work)

        def give_up() -> None:
            nonlocal is_late
            is_late = running.cancel()  # False when it has begun: then its end is awaited, and it is bounded

        timer = loop.call_later(self._queue_limit.total_seconds(), give_up)
        try:
            result = await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            if not is_late or _is_cancelling():
                raise
            raise DatabaseUnavailable("the admin's database does not keep up", hint="repeat it in a moment") from None
        except failures.FAILURES as error:
            told = failures.to_edge_error(error)
            if told is None:
                raise
            self._note_failure(loop.time(), told, failures.reason(error))
            raise told from error
        finally:
            timer.cancel()
        self._note_success(loop.time())
        return result

    def _note_failure(self, now: float, told: DatabaseUnavailable, reason: str) -> None:
        """Said once per outage: everything that is refused meanwhile says so itself."""
        if self._down_since is None:
            self._down_since = now
            log.warning("%s: %s", told.message, reason)

    def _note_success(self, now: float) -> None:
        if self._down_since is not None:
            log.warning("the database is back after %.0f s", now - self._down_since)
            self._down_since = None


def _transact(engine: Engine, work: Callable[[Session], ResultT]) -> ResultT:
    for _ in range(_COLLISIONS_BORNE):
        try:
            return _transact_once(engine, work)
        except failures.FAILURES as error:
            if not failures.is_collision(error):
                raise
            time.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))  # noqa: S311  # on a database thread; not a secret
    return _transact_once(engine, work)


def _transact_once(engine: Engine, work: Callable[[Session], ResultT]) -> ResultT:
    with Session(engine, expire_on_commit=False) as tx:
        tx.begin()
        result = work(tx)
        tx.flush()
        try:
            tx.commit()
        except failures.FAILURES as error:
            if failures.is_commit_unknown(error):
                raise failures.CommitUnknown from error
            raise
        return result


def _is_cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
