"""A time limit for whatever one task waits for next, many times in a row: `asyncio.timeout` with one timer for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from edge_wire.lazy_timer import LazyAlarm


class Patience(LazyAlarm):
    """`with patience.until(deadline): await …` raises TimeoutError at the deadline. One such block at a time, in the
    task that made it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        task = asyncio.current_task(loop)
        assert task is not None
        self._task = task
        self._clock = loop.time
        self._is_waiting = False
        self._deadline: float | None = None
        self._notice: Callable[[], None] | None = None
        self._notice_at = 0.0
        self._cancellings = 0
        """How often the task had been told to end before."""
        self._is_over = False

    def until(self, deadline: float) -> Self:
        """Set the limit, by the clock of the loop, of the block that begins."""
        self._deadline = deadline
        return self

    def until_ended(self, *, notice_after: float, notice: Callable[[], None]) -> Self:
        """The block that begins lasts until `end`; once it has lasted some seconds, `notice` is called."""
        self._deadline = None
        self._notice = notice
        self._notice_at = self._clock() + notice_after
        self.by(self._notice_at)
        return self

    def end(self) -> None:
        """The time of the block that runs is over, if there is one and it has not ended already."""
        if self._is_waiting and not self._is_over:
            self._is_over = True
            self._task.cancel()

    def __enter__(self) -> None:
        self._is_waiting = True
        self._cancellings = self._task.cancelling()
        if self._deadline is not None:
            self.by(self._deadline)  # most often it is set as it is

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._is_waiting = False
        self._notice = None
        if not self._is_over:
            return
        self._is_over = False
        if self._task.uncancel() <= self._cancellings and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _ring(self) -> None:
        """An alarm that was set for an earlier block comes too early."""
        if not self._is_waiting:
            return
        due = self._notice_at if self._deadline is None else self._deadline
        if self._clock() < due:
            self.by(due)
        elif self._deadline is not None:
            self.end()
        elif self._notice is not None:
            self._notice()
            self._notice = None
