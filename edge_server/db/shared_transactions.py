"""Small work of many callers that share transactions: whoever comes while one is under way goes with the next one.

A caller alone waits no longer than for a transaction of its own; a crowd waits for two of them, however large it is.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from sqlalchemy.orm import Session

from edge_wire.errors import EdgeError
from edge_wire.tasks import OwnedTasks

log = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")
_AT_ONCE = 64

_Work = Callable[[Session], Any]


class Transact(Protocol):
    """How a transaction is run: `write` or `read` of a database."""

    def __call__(self, work: Callable[[Session], ResultT], /) -> Awaitable[ResultT]: ...


class SharedTransactions:
    """Runs what is asked in the order in which it was asked."""

    def __init__(self, transact: Transact) -> None:
        self._transact = transact
        self._waiting: deque[tuple[_Work, asyncio.Future[Any]]] = deque()
        self._is_running = False
        self._tasks = OwnedTasks(log, "a shared transaction failed")

    async def run(self, work: Callable[[Session], ResultT]) -> ResultT:
        """Run `work` in a transaction, and return once that is committed. Raises what it raises, DatabaseUnavailable.

        Work that raises an EdgeError has written nothing: what the others wrote is committed all the same.
        """
        done: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, done))
        if not self._is_running:
            self._is_running = True
            self._tasks.spawn(self._run_all())
        return await done

    async def _run_all(self) -> None:
        try:
            while self._waiting:
                await self._commit([self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))])
        finally:
            self._is_running = False

    async def _commit(self, batch: list[tuple[_Work, asyncio.Future[Any]]]) -> None:
        try:
            outcomes = await self._transact(lambda tx: [_attempt(tx, work) for work, _ in batch])
        except Exception as error:  # each of them is told, and decides what to make of it
            outcomes = [_Failed(error) for _ in batch]
        for (_, done), outcome in zip(batch, outcomes, strict=True):
            if done.done():  # whoever asked has been cancelled
                continue
            if isinstance(outcome, _Failed):
                done.set_exception(copy.copy(outcome.error))
            else:
                done.set_result(outcome)


class _Failed:
    """What one work raised, or all of them."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _attempt(tx: Session, work: _Work) -> object:
    try:
        return work(tx)
    except EdgeError as error:
        return _Failed(error)
