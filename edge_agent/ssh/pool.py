"""Threads for the calls of one connection that may block while its client takes nothing; none until one is needed."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor


class Pool:
    """The threads of one connection. On the event loop."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._executor: ThreadPoolExecutor | None = None

    def get(self) -> ThreadPoolExecutor:
        """The pool; after `stop` it takes nothing."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._limit, "ssh-pool")
        return self._executor

    async def stop(self) -> None:
        """Wait until its threads are gone; what they waited for is over already."""
        is_used, executor = self._executor is not None, self.get()
        if not is_used:
            executor.shutdown()
            return
        loop, gone = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            executor.shutdown(cancel_futures=True)
            loop.call_soon_threadsafe(gone.set)

        threading.Thread(target=shut_down, name="ssh-pool-end", daemon=True).start()
        await gone.wait()
