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
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from edge_server.db import failures
from edge_server.db.engine import WRITE
from edge_wire.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

SILENCE_LIMIT = timedelta(seconds=8)
"""How long a transaction waits for a database thread while no other one succeeds. Then it never happens."""
_COLLISIONS_BORNE = 5
_LONGEST_PAUSE_SECONDS = 0.2


class Database:
    """Runs transactions off the event loop. SQLite writes one at a time, PostgreSQL as many as its pool is large."""

    def __init__(self, engine: Engine, *, threads: int, silence_limit: timedelta = SILENCE_LIMIT) -> None:
        self._engine = engine
        self._write_engine = engine.execution_options(**WRITE)
        self._silence_limit = silence_limit
        self._answered_at: dict[Engine, float] = {}
        self._down_since: dict[Engine, float] = {}
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
        loop = asyncio.get_running_loop()
        running = threads.submit(_transact, engine, work)
        queue = _Queue(loop, running, lambda: self._answered_at.get(engine, 0.0), self._silence_limit.total_seconds())
        try:
            result = await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            if not queue.is_given_up or _is_cancelling():
                raise
            raise DatabaseUnavailable("the admin's database does not answer", hint="repeat it in a moment") from None
        except failures.FAILURES as error:
            told = failures.to_edge_error(error)
            if told is None:
                raise
            self._note_failure(engine, loop.time(), told, failures.reason(error))
            raise told from error
        finally:
            queue.leave()
        self._note_success(engine, loop.time())
        return result

    def _note_failure(self, engine: Engine, now: float, told: DatabaseUnavailable, reason: str) -> None:
        """Said once per outage: everything that is refused meanwhile says so itself."""
        if not self._down_since:
            log.warning("%s: %s", told.message, reason)
        self._down_since.setdefault(engine, now)

    def _note_success(self, engine: Engine, now: float) -> None:
        """Over when what failed succeeds: a file that is locked or full can still be read."""
        self._answered_at[engine] = now
        since = self._down_since.pop(engine, None)
        if since is not None and not self._down_since:
            log.warning("the database is back after %.0f s", now - since)


class _Queue:
    """Waiting for a database thread: given up when no transaction has succeeded for too long, not when many wait."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        running: Future[Any],
        answered_at: Callable[[], float],
        limit: float,
    ) -> None:
        self._loop = loop
        self._running = running
        self._began = loop.time()
        self._answered_at = answered_at
        self._limit = limit
        self._timer = loop.call_later(limit, self._judge)
        self.is_given_up = False
        """The transaction was not begun, and never will be."""

    def leave(self) -> None:
        self._timer.cancel()

    def _judge(self) -> None:
        left = max(self._began, self._answered_at()) + self._limit - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._judge)
        else:
            self.is_given_up = self._running.cancel()  # False when it has begun: then it is awaited, and has an end


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
