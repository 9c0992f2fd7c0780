"""Things of which each event loop has one."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary, ref

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Makes the one of an event loop when it is first asked for it; it goes with its loop, which it must not hold."""

    def __init__(self, make: Callable[[AbstractEventLoop], T]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[AbstractEventLoop, T] = WeakKeyDictionary()
        self._latest: tuple[ref[AbstractEventLoop], T] | None = None
        """Nearly every program has one loop, and asks for this with each connection."""

    def of(self, loop: AbstractEventLoop) -> T:
        """The one of this loop."""
        latest = self._latest
        if latest is not None and latest[0]() is loop:
            return latest[1]
        found = self._made.get(loop)
        if found is None:
            found = self._made[loop] = self._make(loop)
        self._latest = ref(loop, self._forget), found
        return found

    def _forget(self, gone: ref[AbstractEventLoop]) -> None:
        if self._latest is not None and self._latest[0] is gone:
            self._latest = None
