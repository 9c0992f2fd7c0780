"""One thread for what waits for the disk, with less around each piece of work than an executor has."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")
Then = Callable[[Any, Exception | None], None]
"""Called with what the work returned, or with what it raised."""


class DiskThread:
    """Does one piece of work after the other; says on the event loop how each went."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: SimpleQueue[tuple[Callable[[], Any], Then] | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def do(self, work: Callable[[], Any], then: Then) -> None:
        """Have it done after what was asked for before."""
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            # A daemon: a disk that never answers must not keep the program from ending.
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._queue.put((work, then))

    async def run(self, work: Callable[[], ResultT]) -> ResultT:
        """Have it done and wait for it. Raises what it raises."""
        done: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()

        def tell(result: Any, failure: Exception | None) -> None:
            if done.done():
                return  # nobody waits any more
            if failure is None:
                done.set_result(result)
            else:
                done.set_exception(failure)

        self.do(work, tell)
        return await done

    def stop(self) -> None:
        """No more work; returns when there is none."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        assert self._loop is not None
        while (item := self._queue.get()) is not None:
            work, then = item
            result, failure = None, None
            try:
                result = work()
            except Exception as error:
                failure = error
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(then, result, failure)
