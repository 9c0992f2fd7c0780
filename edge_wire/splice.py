"""How two streams over plain TCP give their connections to the thread that joins them inside the kernel.

When a flow is worth it, and what ends it, is decided in `streams`.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import threading
from abc import ABC, abstractmethod
from contextlib import suppress

from edge_wire.errors import EdgeError, StreamBroken
from edge_wire.splicer import Count, Direction, Job, Splicer

IS_AVAILABLE = hasattr(os, "splice") and hasattr(select, "epoll")


class Spliceable(ABC):
    """A stream that can give its connection away, with what has been read of it and not been asked for."""

    @property
    @abstractmethod
    def is_spliceable(self) -> bool:
        """Whether the kernel could take it: it is plain TCP, and this system can."""

    @property
    @abstractmethod
    def is_detachable(self) -> bool:
        """Whether it can be given away just now: it is whole, and nothing waits in this process to be sent."""

    @abstractmethod
    async def flush(self) -> None:
        """Wait until the kernel has everything that was written. Raises EdgeError when the stream broke."""

    @abstractmethod
    def duplicate(self) -> socket.socket:
        """A second handle of the connection. Raises OSError."""

    @abstractmethod
    def detach(self, heir: Heir) -> bytes:
        """Let go of the connection, of which there is a second handle by now; returns what has been read already.

        From then on `close_write` and `abort` are the heir's, and reads and writes fail.
        """


class Heir:
    """One of the two connections of a splice, for the stream that gave it away."""

    def __init__(self, splice: Splice, connection: socket.socket) -> None:
        self._splice = splice
        self._connection = connection

    def close_write(self) -> None:
        """End the direction towards this connection; what still comes for it breaks the splice."""
        self._splice.close_write(self._connection)

    def abort(self, failure: EdgeError | None) -> None:
        """Reset both connections, if they have not ended."""
        self._splice.abort(failure or StreamBroken("the connection was given up"))


class Splice:
    """Two connections that the kernel joins. Made, and used, on the event loop."""

    def __init__(self, splicer: Splicer) -> None:
        self._splicer = splicer
        self._job: Job
        self._loop = asyncio.get_running_loop()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._failure: EdgeError | None = None

    def begin(self, job: Job) -> None:
        """Join them."""
        self._job = job
        # The loop lets go of its own handles of the sockets in calls that it has scheduled by now.
        self._loop.call_soon(self._splicer.begin, job)

    async def wait(self) -> None:
        """Wait until both directions have ended. Raises what broke them; then both connections have been reset."""
        await self.wait_until_gone()
        if self._failure is not None:
            raise self._failure

    async def wait_until_gone(self) -> None:
        """Wait until both sockets are closed."""
        await asyncio.wait({self._gone})

    def close_write(self, connection: socket.socket) -> None:
        """End one direction."""
        self._splicer.close_write(self._job, connection)

    def abort(self, failure: EdgeError) -> None:
        """Reset both connections, if they have not ended."""
        if not self._gone.done():
            self._failure = self._failure or failure
            self._splicer.give_up(self._job)

    def ended(self, error: OSError | None) -> None:
        """The thread has closed the sockets; it is the one that calls."""
        with suppress(RuntimeError):  # the loop is closed, and whoever waited is gone
            self._loop.call_soon_threadsafe(self._end, error)

    def _end(self, error: OSError | None) -> None:
        if error is not None and self._failure is None:
            self._failure = StreamBroken(f"the connection broke ({error.strerror})")
        self._gone.set_result(None)


def hand_over(near: Spliceable, far: Spliceable, *, sent: Count, received: Count) -> Splice | None:
    """Give both connections to the kernel, or neither; None when they cannot be given away just now.

    The thread calls the counters. Raises OSError when no more files may be opened.
    """
    if not (near.is_detachable and far.is_detachable):
        return None
    splice = Splice(_running())
    near_socket = near.duplicate()
    try:
        far_socket = far.duplicate()
    except OSError:
        near_socket.close()
        raise
    there = Direction(near_socket, far_socket, near.detach(Heir(splice, near_socket)), sent)
    back = Direction(far_socket, near_socket, far.detach(Heir(splice, far_socket)), received)
    splice.begin(Job(there, back, splice.ended))
    return splice


_starting = threading.Lock()
_splicer: Splicer | None = None


def _running() -> Splicer:
    """The thread of this process, started when it is first needed. Raises OSError."""
    global _splicer
    with _starting:
        if _splicer is None or not _splicer.is_alive:
            _splicer = Splicer()
        return _splicer
