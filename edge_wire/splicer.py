"""The thread that moves bytes between pairs of sockets inside the kernel, with epoll and through pipes.

One serves the whole process. Knows sockets only; `splice` is how streams come here.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import select
import signal
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

log = logging.getLogger(__name__)

_PIPE_BYTES = 256 * 1024
_AT_ONCE = 1024 * 1024
"""Bytes that one call may move: a pipe is full by its slots, and a slot holds up to a whole segment."""
_LOOSE_BYTES = 64 * 1024
_TURNS = 8
"""Calls for one direction before the other connections have theirs."""
_SPARE_PIPES = 16
_RESET = struct.pack("ii", 1, 0)

Count = Callable[[int], None]


def reset_on_close(connection: socket.socket) -> None:
    """Let the other side learn that this was no proper end: the kernel would make what is missing look complete."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


class Direction:
    """From one socket to the other one: through a pipe, or by reading and writing when there is none."""

    def __init__(self, source: socket.socket, sink: socket.socket, first: bytes, count: Count) -> None:
        """`first` goes before what the source has."""
        self.source = source
        self._sink = sink
        self._loose = memoryview(first)
        """What this process holds. The pipe is filled only when this is empty."""
        self._count = count
        self._pipe: _Pipe | None = None
        self._piped = 0
        self._is_source_over = False
        self.is_over = False

    def move(self, pipes: _Pipes) -> bool:
        """Move what can be moved now; returns whether there may be more. Raises OSError."""
        for _ in range(_TURNS):
            # "Try again" of a splice means an empty source or a full pipe, so that both halves are tried in turns.
            has_filled = self._fill(pipes)
            if not (self._drain() or has_filled):
                return False
        return True

    def release(self, pipes: _Pipes) -> None:
        """Give the pipe back if it is empty."""
        if self._pipe is not None and not self._piped:
            pipes.put_back(self._pipe)
            self._pipe = None

    def close(self) -> None:
        """Throw away what the pipe holds."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def _fill(self, pipes: _Pipes) -> bool:
        if self._is_source_over or self._loose:
            return False
        self._pipe = self._pipe or pipes.take()
        try:
            if self._pipe is None:
                self._loose = memoryview(self.source.recv(_LOOSE_BYTES))
                size = len(self._loose)
            else:
                size = _splice(self.source.fileno(), self._pipe.inlet, _AT_ONCE)
                self._piped += size
        except BlockingIOError:
            return False
        self._is_source_over = size == 0
        return True

    def _drain(self) -> bool:
        try:
            if self._loose:
                size = self._sink.send(self._loose)
                self._loose = self._loose[size:]
            elif self._pipe is not None and self._piped:
                size = _splice(self._pipe.outlet, self._sink.fileno(), self._piped)
                self._piped -= size
            else:
                self._end()
                return False
        except BlockingIOError:
            return False
        self._count(size)
        return True

    def _end(self) -> None:
        """Pass the end of the source on, once nothing is left to move."""
        if self._is_source_over and not self.is_over:
            self.is_over = True
            try:
                self._sink.shutdown(socket.SHUT_WR)
            except OSError:  # not connected any more: it was reset, or this end had been passed on before
                _raise_error_of(self._sink)


class Job:
    """Two connections to join. Its sockets belong to the thread, which closes them at the end."""

    def __init__(self, there: Direction, back: Direction, ended: Callable[[OSError | None], None]) -> None:
        """`ended` is called once the sockets are closed; with an error they have been reset."""
        self.sockets = (there.source, back.source)
        self.is_suspect = False
        """The kernel has said that a connection broke or is closed."""
        self.is_given_up = False
        self._directions = (there, back)
        self._ended = ended

    def move(self, pipes: _Pipes) -> bool:
        """Move what can be moved now; returns whether there may be more. Raises OSError when a connection broke."""
        has_more = False
        for direction in self._directions:
            if not direction.is_over:
                has_more |= direction.move(pipes)
                direction.release(pipes)
        if self.is_suspect and not has_more:
            self.is_suspect = False
            self._look_for_error()
        return has_more

    @property
    def is_over(self) -> bool:
        """Whether both directions have ended."""
        return all(direction.is_over for direction in self._directions)

    def close(self, error: OSError | None) -> None:
        """Let go of everything."""
        for direction in self._directions:
            direction.close()
        for connection in self.sockets:
            if error is not None:
                with suppress(OSError):
                    reset_on_close(connection)
            connection.close()
        self._ended(error)

    def _look_for_error(self) -> None:
        """A direction that has ended, or has nothing to move, does not notice a reset by itself."""
        for connection in self.sockets:
            _raise_error_of(connection)


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
        self._pipes = _Pipes()
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
                job.is_suspect |= bool(events & (select.EPOLLERR | select.EPOLLHUP))
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


class _Pipe:
    """A buffer in the kernel."""

    __slots__ = ("inlet", "outlet")

    def __init__(self) -> None:
        self.outlet, self.inlet = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with suppress(OSError):  # a user has so many pages for all pipes; behind that they stay small
            fcntl.fcntl(self.inlet, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def close(self) -> None:
        os.close(self.outlet)
        os.close(self.inlet)


class _Pipes:
    """Empty pipes, for data that moves."""

    def __init__(self) -> None:
        self._spare: list[_Pipe] = []

    def take(self) -> _Pipe | None:
        """None when no more files may be opened."""
        if self._spare:
            return self._spare.pop()
        try:
            return _Pipe()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            return None

    def put_back(self, pipe: _Pipe) -> None:
        if len(self._spare) < _SPARE_PIPES:
            self._spare.append(pipe)
        else:
            pipe.close()

    def clear(self) -> None:
        while self._spare:
            self._spare.pop().close()


def _raise_error_of(connection: socket.socket) -> None:
    """Raises the OSError that the kernel keeps for it, if any."""
    if number := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(number, os.strerror(number))


def _splice(source: int, sink: int, size: int) -> int:
    return os.splice(source, sink, size, flags=os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK)
