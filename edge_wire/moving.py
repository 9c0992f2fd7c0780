"""Moving bytes from one socket to another one, and in both directions until both have ended. Without waiting.

Whoever serves a job calls it when the kernel says that there is something to do: `joint` in the event loop, `splicer`
in its thread and with pipes, so that the bytes stay in the kernel.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from edge_wire.readiness import ENDING, FAILING, READABLE, WRITABLE

_HELD = 1024 * 1024
"""Bytes that a pipe is made for, and holds at most: it is full by its slots, and a slot may have a whole segment.
With a quarter of it many streams have two thirds of the throughput."""
_LOOSE_BYTES = 64 * 1024
_TURNS = 8
"""Calls for one direction before the other connections have theirs."""
_SPARE_PIPES = 16
_RESET = struct.pack("ii", 1, 0)

NEAR, FAR = 0, 1
Count = Callable[[int], None]
Ended = Callable[[OSError | None], None]


def reset_on_close(connection: socket.socket) -> None:
    """Let the other side learn that this was no proper end: the kernel would make what is missing look complete."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


@dataclass(slots=True)
class Given:
    """A connection whose bytes are to be moved, and what is known of it."""

    connection: socket.socket
    unsent: bytes
    """What is to be sent to it before anything else."""
    is_drained: bool
    """Reading it would block, until the kernel says otherwise."""
    is_ending: bool
    """The kernel has said that there is an end to read, or a failure."""


class Direction:
    """From one socket to the other one: through a pipe, or by reading and writing where there is none."""

    def __init__(self, source: Given, sink: Given, count: Count) -> None:
        self.source = source.connection
        self.sink = sink.connection
        self.is_awake = not source.is_drained or len(sink.unsent) > 0
        """Whether there may be something to move."""
        self.is_stuck = False
        """The sink has no room for what this process holds."""
        self.is_over = False
        self.is_last = False
        """The other direction has ended: both connections are closed behind the end of this one."""
        self._loose: bytes | memoryview = sink.unsent
        """What this process holds. The pipe is filled only when this is empty."""
        self._count = count
        self._pipe: _Pipe | None = None
        self._piped = 0
        self.is_source_ending = source.is_ending
        """The kernel has said that there is an end to read, or a failure."""
        self._is_source_over = False

    def move(self) -> None:
        """Move what can be moved now, and sleep if there is no more. Raises OSError."""
        is_all = self.is_awake = self.is_stuck = False
        try:
            for _ in range(_TURNS):
                data = self._loose
                if not data:
                    if is_all:
                        return
                    data = self._loose = self.source.recv(_LOOSE_BYTES)
                    if not data:
                        self._end()
                        return
                    # Less than was asked for is all there is; but an end that is known already is not told once more.
                    is_all = len(data) < _LOOSE_BYTES and not self.is_source_ending
                size = self.sink.send(data)
                self._loose = memoryview(data)[size:] if size < len(data) else b""
                self._count(size)
        except BlockingIOError:
            self.is_stuck = len(self._loose) > 0
        else:
            self.is_awake = True

    def splice(self, pipes: Pipes) -> None:
        """As `move`, by the kernel as far as there are pipes."""
        if not self._loose and self._pipe is None:
            self._pipe = pipes.take()
        if self._pipe is None or self._loose:
            self.move()
        else:
            self.is_awake = self._move_through(self._pipe)
        if self._pipe is not None and not self._piped:
            pipes.put_back(self._pipe)
            self._pipe = None

    def close(self) -> None:
        """Throw away what the pipe holds."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def _move_through(self, pipe: _Pipe) -> bool:
        """Returns whether there may be more."""
        for _ in range(_TURNS):
            # "Try again" of a splice means an empty source or a full pipe, so that both halves are tried in turns.
            has_filled = self._fill(pipe)
            if not (self._drain(pipe) or has_filled):
                return False
        return True

    def _fill(self, pipe: _Pipe) -> bool:
        room = _HELD - self._piped
        if self._is_source_over or room <= 0:
            return False
        try:
            size = _splice(self.source.fileno(), pipe.inlet, room)
        except BlockingIOError:
            return False
        self._piped += size
        self._is_source_over = size == 0
        return True

    def _drain(self, pipe: _Pipe) -> bool:
        if not self._piped:
            return self._is_source_over and self._end()
        try:
            size = _splice(pipe.outlet, self.sink.fileno(), self._piped)
        except BlockingIOError:
            return False
        self._piped -= size
        self._count(size)
        return True

    def _end(self) -> bool:
        """Pass the end of the source on, now that nothing is left to move: False."""
        self.is_over = True
        if self.is_last:  # the sink is closed at once
            return False
        try:
            self.sink.shutdown(socket.SHUT_WR)
        except OSError:  # not connected any more: it was reset, or this end had been passed on before
            _raise_error_of(self.sink)
        return False


class Job:
    """Two connections to join. Its sockets belong to whoever serves it, and closes them at the end."""

    def __init__(self, near: Given, far: Given, counts: tuple[Count, Count], ended: Ended) -> None:
        """`counts` are told of bytes from near to far and of those back; `ended` is called once the sockets are closed;
        with an error they have been reset."""
        self.there = Direction(near, far, counts[0])
        self.back = Direction(far, near, counts[1])
        self._served_by = (self.there, self.back), (self.back, self.there)
        """By side: the direction that reads its socket, and the one that writes to it."""
        self.sockets = (near.connection, far.connection)
        self.is_given_up = False
        self.is_over = False
        """Both directions have ended."""
        self.is_stuck = False
        """A direction waits for room."""
        self._is_suspect = False
        self._ended = ended

    def changed(self, side: int, events: int) -> None:
        """The kernel has something for one of the sockets."""
        reading, writing = self._served_by[side]
        if events & READABLE:
            reading.is_awake = not reading.is_over
            if events & ENDING:
                reading.is_source_ending = True
                if events & FAILING:
                    self._is_suspect = True
        if events & WRITABLE:
            writing.is_awake = not writing.is_over

    def move(self, pipes: Pipes | None) -> bool:
        """Move what can be moved now; returns whether there may be more. Raises OSError when a connection broke."""
        there, back = self.there, self.back
        if there.is_awake:
            there.move() if pipes is None else there.splice(pipes)
            back.is_last = there.is_over
        if back.is_awake:
            back.move() if pipes is None else back.splice(pipes)
            there.is_last = back.is_over
        self.is_over = there.is_last and back.is_last
        self.is_stuck = there.is_stuck or back.is_stuck
        has_more = there.is_awake or back.is_awake
        if self._is_suspect and not (has_more or self.is_over):
            self._is_suspect = False
            self._look_for_error()
        return has_more

    def close(self, error: OSError | None) -> None:
        """Let go of everything."""
        self.there.close()
        self.back.close()
        for connection in self.sockets:
            if error is not None:
                with suppress(OSError):
                    reset_on_close(connection)
            connection.close()
        ended, self._ended = self._ended, _ignore  # who is told holds this job
        ended(error)

    def _look_for_error(self) -> None:
        """A direction that has ended, or has nothing to move, does not notice a reset by itself."""
        for connection in self.sockets:
            _raise_error_of(connection)


def _ignore(_error: OSError | None) -> None:
    """It was told before."""


class _Pipe:
    """A buffer in the kernel."""

    __slots__ = ("inlet", "outlet")

    def __init__(self) -> None:
        self.outlet, self.inlet = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with suppress(OSError):  # a user has so many pages for all pipes; behind that they stay small
            fcntl.fcntl(self.inlet, fcntl.F_SETPIPE_SZ, _HELD)

    def close(self) -> None:
        os.close(self.outlet)
        os.close(self.inlet)


class Pipes:
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
