"""Tasks that somebody owns: kept until they end, ended with their owner, and never failing in silence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any


def is_being_cancelled() -> bool:
    """Whether a CancelledError is meant for this task: gRPC raises one for a call that has ended, too."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class OwnedTasks:
    """The tasks of one owner."""

    def __init__(self, log: logging.Logger, failure: str) -> None:
        self._log = log
        self._failure = failure
        """What is logged with the traceback of a task that failed."""
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a task."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    async def finish(self) -> None:
        """Wait until what runs has ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cancel(self) -> None:
        """Cancel what runs."""
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """Cancel what runs and wait until it is gone."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._log.error(self._failure, exc_info=task.exception())
