"""A timer for what is put off all the time, such as a ping that every frame puts off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class LazyTimer:
    """Calls after a while at the latest.

    A call that is due earlier is kept instead of moved, so that putting off costs nothing: whoever is called looks
    whether its time has come, and asks again if not.
    """

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._handle: asyncio.TimerHandle | None = None

    def within(self, seconds: float) -> None:
        """Call after so many seconds, or earlier."""
        self.by(asyncio.get_running_loop().time() + seconds)

    def by(self, at: float) -> None:
        """Call at this time of the loop's clock, or earlier."""
        if self._handle is not None:
            if self._handle.when() <= at:
                return
            self._handle.cancel()
        self._handle = asyncio.get_running_loop().call_at(at, self._expire)

    def cancel(self) -> None:
        """Do not call any more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _expire(self) -> None:
        self._handle = None
        self._call()
