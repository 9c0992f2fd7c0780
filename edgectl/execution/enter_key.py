"""The Enter key while a command runs: nothing else reads our terminal, so it can ask who is still running."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_AGAIN_SECONDS = 1.0


@contextmanager
def enter_key(on_enter: Callable[[], None]) -> Iterator[None]:
    """Call back for each line that is typed. In the background the terminal is left to whom it belongs."""
    watch = _Watch(on_enter)
    watch.start()
    try:
        yield
    finally:
        watch.stop()


class _Watch:
    def __init__(self, on_enter: Callable[[], None]) -> None:
        self._on_enter = on_enter
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Listen to the terminal."""
        self._timer = None
        self._loop.add_reader(0, self._readable)

    def stop(self) -> None:
        """Listen no more."""
        self._loop.remove_reader(0)
        if self._timer is not None:
            self._timer.cancel()

    def _readable(self) -> None:
        if not _is_in_foreground():
            # Reading now would stop the whole program (SIGTTIN).
            self.stop()
            self._timer = self._loop.call_later(_AGAIN_SECONDS, self.start)
            return
        try:
            typed = os.read(0, 4096)
        except OSError:
            typed = b""
        if not typed:
            self.stop()
        elif b"\n" in typed:
            self._on_enter()


def _is_in_foreground() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
