"""Transactions: a plain function run on a database thread, committed in this one place.

Because a transaction is a plain function it cannot await, so none can wait for a network while it holds locks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from edge_server.db.engine import WRITE
from edge_wire.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")


class Database:
    """Runs transactions off the event loop. SQLite writes one at a time, PostgreSQL as many as its pool is large."""

    def __init__(self, engine: Engine, *, threads: int) -> None:
        self._engine = engine
        self._write_engine = engine.execution_options(**WRITE)
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
        return await asyncio.get_running_loop().run_in_executor(threads, _transact, engine, work)


def _transact(engine: Engine, work: Callable[[Session], ResultT]) -> ResultT:
    try:
        with Session(engine, expire_on_commit=False) as tx, tx.begin():
            return work(tx)
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        # The reason names hosts and users: it is for the admin's log, not for whoever calls.
        log.warning("the database is down: %s", _reason(error))
        raise DatabaseUnavailable("the admin's database is down", hint="repeat it in a moment") from error


def _reason(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    text = str(cause).strip() or type(cause).__name__
    return text.splitlines()[0][:120]
