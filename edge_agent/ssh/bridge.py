"""From the threads of SSH connections to the event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from edge_wire.errors import EdgeError

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_SECONDS = 5.0
"""What a thread waits for the loop at most: it asks for what takes no time."""


class Bridge:
    """The way to one loop, from other threads; from the loop itself only `soon`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    def soon(self, call: Callable[..., object], *arguments: Any) -> None:
        """Do this on the loop; nothing when that is over."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(call, *arguments)

    def wait_for(self, work: Coroutine[Any, Any, Result]) -> Result | None:
        """Do this on the loop and wait for it; None when it failed."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(_SECONDS)
        except (EdgeError, OSError, TimeoutError, concurrent.futures.CancelledError) as error:
            log.debug("a client did not get what it asked for: %s", type(error).__name__)
            future.cancel()
            return None
