"""How two streams over plain TCP are joined: by the event loop at first, and by the kernel once that is worth it.

The streams give their connections away, and what is moved then never passes through them. When a flow is worth the
kernel's help, and how long it lasts, is decided in `streams`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import select
import socket
import threading
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from edge_wire.errors import EdgeError, StreamBroken
from edge_wire.moving import FAR, NEAR, Count, Given, Job
from edge_wire.readiness import Watcher, readiness
from edge_wire.splicer import Splicer

log = logging.getLogger(__name__)

CAN_SPLICE = hasattr(os, "splice") and hasattr(select, "epoll")


class Joinable:
    """A stream that can give its connection away.

    It is not made an ABC here: that costs more to ask for than a relay of a few bytes can spare. Its classes are.
    """

    @property
    @abstractmethod
    def is_joinable(self) -> bool:
        """Whether there is something to give away: it is not closed, and did not break."""

    @abstractmethod
    def prepare(self) -> None:
        """Have it watched. Raises EdgeError."""

    @abstractmethod
    def give_away(self, joint: Joint, side: int, watcher: Watcher) -> Given:
        """Let go of the connection, which has this watcher from now on and is this side of the joint: `close_write` and
        `abort` are the joint's, and the rest fails."""


class Joint:
    """Two connections that are one. Made, and used, on the event loop."""

    def __init__(
        self, near: Joinable, far: Joinable, counts: tuple[Count, Count], is_bulky: Callable[[], bool]
    ) -> None:
        """Take both connections. `counts` are told of bytes from near to far and of those back: by a thread, once the
        kernel has taken over. Raises EdgeError."""
        self._is_bulky = is_bulky
        self._can_splice = CAN_SPLICE
        self._splicer: Splicer | None = None
        self._loop = asyncio.get_running_loop()
        self._readiness = readiness(self._loop)
        self._is_gone = False
        self._waiting: asyncio.Future[None] | None = None
        self._failure: EdgeError | None = None
        near.prepare()
        far.prepare()
        ours = near.give_away(self, NEAR, partial(self._changed, NEAR))
        theirs = far.give_away(self, FAR, partial(self._changed, FAR))
        self._job = Job(ours, theirs, counts, self._ended)
        self._serve()

    @property
    def is_spliced(self) -> bool:
        """Whether the kernel has taken over."""
        return self._splicer is not None

    async def wait(self) -> None:
        """Wait until both directions have ended and both sockets are closed.

        Raises what broke them; then both connections have been reset.
        """
        while not self._is_gone:
            self._waiting = self._loop.create_future()
            await self._waiting
        if self._failure is not None:
            raise self._failure

    async def end(self) -> None:
        """Reset both connections, if they have not ended, and wait until both sockets are closed."""
        if not self._is_gone:
            self.abort(None)
            with suppress(EdgeError):
                await self.wait()

    def close_write(self, side: int) -> None:
        """End the direction towards one side."""
        if self._splicer is not None:
            self._splicer.close_write(self._job, self._job.sockets[side])
        elif not self._is_gone:
            with suppress(OSError):
                self._job.sockets[side].shutdown(socket.SHUT_WR)

    def abort(self, failure: EdgeError | None) -> None:
        """Reset both connections, if they have not ended."""
        if self._is_gone:
            return
        self._failure = self._failure or failure or StreamBroken("the connection was given up")
        if self._splicer is not None:
            self._splicer.give_up(self._job)
        else:
            self._close(OSError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED)))

    def _changed(self, side: int, events: int) -> None:
        """The kernel has something for one side."""
        self._job.changed(side, events)
        self._serve()

    def _serve(self) -> None:
        if self._is_gone or self._splicer is not None:
            return
        try:
            has_more = self._job.move(None)
        except OSError as error:
            self._close(error)
            return
        if self._job.is_over:
            self._close(None)
        elif self._can_splice and self._is_bulky():
            self._hand_over()
        elif has_more:
            self._loop.call_soon(self._serve)  # the other connections have their turn
        elif self._job.is_stuck or not self._readiness.is_edge_triggered:
            self._rest()

    def _rest(self) -> None:
        for direction in (self._job.there, self._job.back):
            if direction.is_stuck:
                self._readiness.await_writing(direction.sink.fileno())
            elif not (self._readiness.is_edge_triggered or direction.is_over):
                self._readiness.await_reading(direction.source.fileno())

    def _hand_over(self) -> None:
        try:
            splicer = _running()
        except OSError as error:
            log.warning("connections are not joined in the kernel: %s", error.strerror)
            self._can_splice = False
            self._loop.call_soon(self._serve)
            return
        self._let_go(is_closing=False)
        self._splicer = splicer
        splicer.begin(self._job)

    def _close(self, error: OSError | None) -> None:
        self._let_go(is_closing=True)
        self._job.close(error)

    def _let_go(self, *, is_closing: bool) -> None:
        for connection in self._job.sockets:
            self._readiness.forget(connection.fileno(), is_closing=is_closing)

    def _ended(self, error: OSError | None) -> None:
        """The sockets are closed, by us or by the thread."""
        if self._splicer is None:
            self._end(error)
            return
        with suppress(RuntimeError):  # the loop is closed, and whoever waited is gone
            self._loop.call_soon_threadsafe(self._end, error)

    def _end(self, error: OSError | None) -> None:
        if error is not None and self._failure is None:
            self._failure = StreamBroken(f"the connection broke ({error.strerror})")
        self._is_gone = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


_starting = threading.Lock()
_splicer: Splicer | None = None


def _running() -> Splicer:
    """The thread of this process, started when it is first needed. Raises OSError."""
    global _splicer
    with _starting:
        if _splicer is None or not _splicer.is_alive:
            _splicer = Splicer()
        return _splicer
