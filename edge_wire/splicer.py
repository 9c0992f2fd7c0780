"""The thread that moves bytes between pairs of sockets inside the kernel, with epoll and through pipes.

One serves the whole process. Knows sockets only; `joint` is how streams come here.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from edge_wire.moving import FAR, NEAR, Job, Pipes

log = logging.getLogger(__name__)


class Splicer:
    """The thread. What it shares with event loops is a queue of calls for it to make."""

    def __init__(self) -> None:
        """Start it. Raises OSError."""
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._calls: deque[Callable[[], None]] = deque()
        self._jobs: dict[int, Job] = {}
        """By the file number of each of their two sockets."""
        self._ready: dict[Job, None] = {}
        self._pipes = Pipes()
        self._thread = threading.Thread(target=self._run, name="splice", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            os.close(self._bell)
            raise OSError(errno.EAGAIN, str(error)) from None

    @property
    def is_alive(self) -> bool:
        """Not in a forked child: it has no threads of its parent."""
        return self._thread.is_alive()

    # --- what event loops call

    def begin(self, job: Job) -> None:
        """Join two connections."""
        self._call(lambda: self._begin(job))

    def give_up(self, job: Job) -> None:
        """Reset both connections, if they are not closed."""
        job.is_given_up = True
        self._call(lambda: self._give_up(job))

    def close_write(self, job: Job, connection: socket.socket) -> None:
        """End the direction towards one of them, if it is not closed."""
        self._call(lambda: self._close_write(job, connection))

    def _call(self, call: Callable[[], None]) -> None:
        self._calls.append(call)
        os.eventfd_write(self._bell, 1)

    # --- what the thread does

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # a broken pipe is an error here, no signal
        try:
            while True:
                self._take_turns()
        except Exception:
            log.exception("connections are not joined any more")
        finally:
            for job in set(self._jobs.values()):
                self._end(job, OSError(errno.EIO, os.strerror(errno.EIO)))

    def _take_turns(self) -> None:
        for number, events in self._epoll.poll(0 if self._ready else None):
            if number == self._bell:
                os.eventfd_read(self._bell)
            elif job := self._jobs.get(number):
                job.changed(NEAR if number == job.sockets[NEAR].fileno() else FAR, events)
                self._ready[job] = None
        while self._calls:
            self._calls.popleft()()
        for job in list(self._ready):
            self._serve(job)

    def _serve(self, job: Job) -> None:
        try:
            has_more = job.move(self._pipes)
        except OSError as error:
            self._end(job, error)
            return
        if job.is_over:
            self._end(job, None)
        elif not has_more:
            del self._ready[job]

    def _begin(self, job: Job) -> None:
        self._jobs |= {connection.fileno(): job for connection in job.sockets}
        self._ready[job] = None
        events = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
        try:
            for connection in job.sockets:
                self._epoll.register(connection, events)
        except OSError as error:
            self._end(job, error)
        if job.is_given_up:
            self._give_up(job)

    def _give_up(self, job: Job) -> None:
        if self._has(job):
            self._end(job, OSError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED)))

    def _close_write(self, job: Job, connection: socket.socket) -> None:
        if self._has(job):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)

    def _has(self, job: Job) -> bool:
        return self._jobs.get(job.sockets[0].fileno()) is job

    def _end(self, job: Job, error: OSError | None) -> None:
        self._ready.pop(job, None)
        for connection in job.sockets:
            del self._jobs[connection.fileno()]
            with suppress(OSError):  # not registered: there was no room for it
                self._epoll.unregister(connection)
        job.close(error)
        if not self._jobs:
            self._pipes.clear()
