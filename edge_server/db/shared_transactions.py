"""Small work of many callers that share transactions: whoever comes while one is under way goes with the next one.

A caller alone waits no longer than for a transaction of its own; a crowd waits for two of them, however large it is.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy.orm import Session

from edge_wire.errors import EdgeError
from edge_wire.tasks import OwnedTasks

log = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")
AskT = TypeVar("AskT")
AnswerT = TypeVar("AnswerT")
_AT_ONCE = 64

_Work = Callable[[Session], Any]


class Transact(Protocol):
    """How a transaction is run: `write` or `read` of a database."""

    def __call__(self, work: Callable[[Session], ResultT], /) -> Awaitable[ResultT]: ...


class Batches(Generic[AskT, AnswerT]):
    """What many ask of the same kind, answered many at once and in the order in which they asked.

    `answer` gives an answer for each of what it is given, in its order; an EdgeError is raised for whoever asked.
    """

    def __init__(self, transact: Transact, answer: Callable[[Session, Sequence[AskT]], Sequence[AnswerT | EdgeError]]):
        self._transact = transact
        self._answer = answer
        self._waiting: deque[tuple[AskT, asyncio.Future[AnswerT]]] = deque()
        self._is_running = False
        self._tasks = OwnedTasks(log, "a shared transaction failed")

    async def ask(self, item: AskT) -> AnswerT:
        """Returns once the transaction with its answer is committed. Raises its EdgeError, DatabaseUnavailable."""
        done: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
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

    async def _commit(self, batch: list[tuple[AskT, asyncio.Future[AnswerT]]]) -> None:
        asked = [item for item, _ in batch]
        answers: Sequence[AnswerT | Exception]
        try:
            answers = await self._transact(lambda tx: self._answer(tx, asked))
        except Exception as error:  # each of them is told, and decides what to make of it
            answers = [error] * len(batch)
        for (_, done), answer in zip(batch, answers, strict=True):
            if done.done():  # whoever asked has been cancelled
                continue
            if isinstance(answer, Exception):
                done.set_exception(copy.copy(answer))
            else:
                done.set_result(answer)


class SharedTransactions:
    """Any work, run in the order in which it was asked."""

    def __init__(self, transact: Transact) -> None:
        self._batches: Batches[_Work, Any] = Batches(transact, _run_each)

    async def run(self, work: Callable[[Session], ResultT]) -> ResultT:
        """Run `work` in a transaction, and return once that is committed. Raises what it raises, DatabaseUnavailable.

        Work that raises an EdgeError has written nothing: what the others wrote is committed all the same.
        """
        result: ResultT = await self._batches.ask(work)
        return result


def _run_each(tx: Session, works: Sequence[_Work]) -> list[Any]:
    return [_attempt(tx, work) for work in works]


def _attempt(tx: Session, work: _Work) -> Any:
    try:
        return work(tx)
    except EdgeError as error:
        return error
