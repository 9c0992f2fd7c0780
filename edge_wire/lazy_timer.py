"""Timers that cost next to nothing to set, to put off and to cancel, and that may call a little late.

Most are never due: the ping that every frame puts off, the patience with a client that is done in a millisecond. A
timer of asyncio's costs as much as what it guards, and leaves a corpse in a heap when it is cancelled.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Callable

from edge_wire.per_loop import PerLoop

_PER_SECOND = 32
"""All timers that are due within one such part of a second share one of asyncio's."""


class LazyAlarm(ABC):
    """Is told after a while at the latest.

    A time that is due earlier is kept instead of moved, so that putting off costs nothing: whoever is told looks
    whether its time has come, and asks again if not. Each belongs to one event loop. Whoever has a timer of its own is
    one instead, where many are made: an object and its timer that hold each other are left to the garbage collector.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Without a loop it is that of the first use."""
        self._loop: asyncio.AbstractEventLoop | None = None
        """Kept: to ask which one runs is a system call each time."""
        self._parts: _Parts
        self._part: dict[LazyAlarm, None] | None = None
        """The alarms that are due together with this one."""
        self._rings_at = math.inf
        if loop is not None:
            self._settle(loop)

    @abstractmethod
    def _ring(self) -> None:
        """It is due, or was."""

    def within(self, seconds: float) -> None:
        """Ring after so many seconds, or earlier."""
        loop = self._loop or self._settle(asyncio.get_running_loop())
        self.by(loop.time() + seconds)

    def by(self, at: float) -> None:
        """Ring at this time of the loop's clock, or earlier."""
        if at >= self._rings_at:
            return
        loop = self._loop or self._settle(asyncio.get_running_loop())
        if self._part is not None:
            del self._part[self]
        due = int(at * _PER_SECOND) + 1
        self._rings_at = due / _PER_SECOND
        part = self._parts.get(due)
        if part is None:
            part = self._parts[due] = {}
            loop.call_at(self._rings_at, _expire, self._parts, due)
        self._part = part
        part[self] = None

    def cancel(self) -> None:
        """Do not ring any more."""
        if self._part is not None:
            del self._part[self]
            self._part = None
            self._rings_at = math.inf

    def expire(self) -> None:
        """Ring, now that it is due."""
        self._part = None
        self._rings_at = math.inf
        self._ring()

    def _settle(self, loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
        self._loop = loop
        self._parts = _of_loops.of(loop)
        return loop


class LazyTimer(LazyAlarm):
    """Calls somebody."""

    def __init__(self, call: Callable[[], None]) -> None:
        super().__init__()
        self._call = call

    def _ring(self) -> None:
        self._call()


_Parts = dict[int, dict[LazyAlarm, None]]


_of_loops: PerLoop[_Parts] = PerLoop(lambda _loop: {})


def _expire(parts: _Parts, due: int) -> None:
    part = parts[due]
    try:
        while part:
            timer, _ = part.popitem()
            timer.expire()
    finally:
        if part:  # one of them raised
            asyncio.get_running_loop().call_soon(_expire, parts, due)
        else:
            del parts[due]
