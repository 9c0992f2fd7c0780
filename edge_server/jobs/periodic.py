"""Running the jobs of the schedule: each in its own task, never twice at once, a failure logged and tried again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from edge_wire.errors import EdgeError

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Job:
    """Something that happens every so often."""

    name: str
    every: timedelta
    run: Callable[[], Awaitable[None]]


class PeriodicRunner:
    """Runs jobs until it is stopped."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; each job runs at once and then after each interval."""
        self._tasks = [asyncio.create_task(_repeat(job), name=job.name) for job in self._jobs]

    async def stop(self) -> None:
        """End every job."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _repeat(job: Job) -> None:
    while True:
        try:
            await job.run()
        except EdgeError as error:
            log.warning("%s: %s", job.name, error.message)
        except Exception:  # a job that failed once must run again
            log.exception("%s failed", job.name)
        await asyncio.sleep(job.every.total_seconds())
