"""Tells sockets without a transport of asyncio when the kernel has something new for them.

One edge-triggered epoll serves all sockets of an event loop, which waits for it as for one file: a socket is registered
once in its life, where `add_reader` and `remove_reader` cost more than the few messages of a short connection. On
systems without epoll the loop watches a socket for as long as somebody waits.
"""

from __future__ import annotations

import asyncio
import logging
import select
from collections.abc import Callable
from typing import Protocol

from edge_wire.per_loop import PerLoop

log = logging.getLogger(__name__)

IS_EDGE_TRIGGERED = hasattr(select, "epoll")
_IN, _OUT, _ERROR, _HANG_UP, _READ_HANG_UP = 0x1, 0x4, 0x8, 0x10, 0x2000
"""What epoll(7) says in one number; elsewhere these bits are only ours."""
FAILING = _ERROR | _HANG_UP
ENDING = FAILING | _READ_HANG_UP
READABLE = _IN | ENDING
WRITABLE = _OUT | FAILING
_READING = _IN | _READ_HANG_UP | 1 << 31
"""The highest bit is EPOLLET."""


Watcher = Callable[[int], None]
"""What is called with bits: READABLE and WRITABLE mean that it is worth a try, ENDING that there is an end or a failure
to read. It may be called too often, never too seldom."""


class Readiness(Protocol):
    """Of the sockets of one event loop. A socket that was read or written until it would block is told of later."""

    is_edge_triggered: bool
    """If not, it is to be asked each time that reading would block."""

    def watch(self, number: int, watcher: Watcher) -> None:
        """Begin with the socket that has this file number. Raises OSError when the kernel has no room for it."""

    def await_reading(self, number: int) -> None:
        """Reading would block: tell when it does not any more."""

    def await_writing(self, number: int) -> None:
        """Writing would block: tell when it does not any more."""

    def hand_on(self, number: int, watcher: Watcher) -> None:
        """Tell another one from now on."""

    def forget(self, number: int, *, is_closing: bool) -> None:
        """End, before the file is closed or else given away."""


def readiness(loop: asyncio.AbstractEventLoop) -> Readiness:
    """That of the running event loop."""
    return _of_loops.of(loop)


_of_loops: PerLoop[Readiness] = PerLoop(lambda loop: _Edges(loop) if IS_EDGE_TRIGGERED else _Levels())


class _Edges:
    """By epoll. It keeps no reference to its loop, whose end is its own."""

    is_edge_triggered = True

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._epoll = select.epoll()
        self._watchers: dict[int, Watcher] = {}
        loop.add_reader(self._epoll.fileno(), self._tell)

    def watch(self, number: int, watcher: Watcher) -> None:
        self._epoll.register(number, _READING)
        self._watchers[number] = watcher

    def await_reading(self, number: int) -> None:
        """Is told without being asked."""

    def await_writing(self, number: int) -> None:
        self._epoll.modify(number, _READING | _OUT)  # which also tells at once, if there is room by now

    def hand_on(self, number: int, watcher: Watcher) -> None:
        self._watchers[number] = watcher

    def forget(self, number: int, *, is_closing: bool) -> None:
        if self._watchers.pop(number, None) is not None and not is_closing:  # what is closed leaves by itself
            self._epoll.unregister(number)

    def _tell(self) -> None:
        for number, events in self._epoll.poll(0):
            # One that was called before may have closed this file, and even have opened another one of this number,
            # which then hears of nothing: it may be told too often.
            watcher = self._watchers.get(number)
            if watcher is not None:
                try:
                    watcher(events)
                except Exception:  # the others are not told once more
                    log.exception("a socket was not served as it should")


class _Levels:
    """By the event loop itself, each time that somebody waits."""

    is_edge_triggered = False

    def __init__(self) -> None:
        self._watchers: dict[int, Watcher] = {}

    def watch(self, number: int, watcher: Watcher) -> None:
        self._watchers[number] = watcher
        self.await_reading(number)

    def await_reading(self, number: int) -> None:
        loop = asyncio.get_running_loop()

        def tell() -> None:
            loop.remove_reader(number)
            self._watchers[number](READABLE)

        loop.add_reader(number, tell)

    def await_writing(self, number: int) -> None:
        loop = asyncio.get_running_loop()

        def tell() -> None:
            loop.remove_writer(number)
            self._watchers[number](WRITABLE)

        loop.add_writer(number, tell)

    def hand_on(self, number: int, watcher: Watcher) -> None:
        self._watchers[number] = watcher

    def forget(self, number: int, *, is_closing: bool) -> None:
        if self._watchers.pop(number, None) is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(number)
            loop.remove_writer(number)
