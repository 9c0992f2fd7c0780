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


@dataclass(frozen=True, kw_only=True)
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
    """From one socket to the other one: through a pipe, or by reading and writing when there is none."""

    def __init__(self, source: Given, sink: Given, count: Count) -> None:
        self.source = source.connection
        self.sink = sink.connection
        self._loose = memoryview(sink.unsent)
        """What this process holds. The pipe is filled only when this is empty."""
        self._count = count
        self._pipe: _Pipe | None = None
        self._piped = 0
        self._is_drained = source.is_drained
        self._is_source_ending = source.is_ending
        self._is_source_over = False
        self.is_over = False

    @property
    def is_stuck(self) -> bool:
        """Whether the sink has no room for what this process holds."""
        return len(self._loose) > 0

    def source_changed(self, *, is_ending: bool) -> None:
        """There may be something to read again."""
        self._is_drained = False
        self._is_source_ending |= is_ending

    def move(self, pipes: Pipes | None) -> bool:
        """Move what can be moved now; returns whether there may be more. Raises OSError."""
        for _ in range(_TURNS):
            # "Try again" of a splice means an empty source or a full pipe, so that both halves are tried in turns.
            has_filled = self._fill(pipes)
            if not (self._drain() or has_filled):
                return False
        return True

    def release(self, pipes: Pipes | None) -> None:
        """Give the pipe back if it is empty."""
        if pipes is not None and self._pipe is not None and not self._piped:
            pipes.put_back(self._pipe)
            self._pipe = None

    def close(self) -> None:
        """Throw away what the pipe holds."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def _fill(self, pipes: Pipes | None) -> bool:
        if self._is_source_over or self._loose:
            return False
        if self._pipe is None and pipes is not None:
            self._pipe = pipes.take()
        return self._fill_loose() if self._pipe is None else self._fill_pipe(self._pipe)

    def _fill_loose(self) -> bool:
        if self._is_drained:
            return False
        try:
            self._loose = memoryview(self.source.recv(_LOOSE_BYTES))
        except BlockingIOError:
            self._is_drained = True
            return False
        self._is_source_over = not self._loose
        # Less than was asked for is all there is; an end that is there already would not be told once more.
        self._is_drained = len(self._loose) < _LOOSE_BYTES and not self._is_source_ending
        return True

    def _fill_pipe(self, pipe: _Pipe) -> bool:
        try:
            size = _splice(self.source.fileno(), pipe.inlet, _AT_ONCE)
        except BlockingIOError:
            return False
        self._piped += size
        self._is_source_over = size == 0
        return True

    def _drain(self) -> bool:
        try:
            if self._loose:
                size = self.sink.send(self._loose)
                self._loose = self._loose[size:]
            elif self._pipe is not None and self._piped:
                size = _splice(self._pipe.outlet, self.sink.fileno(), self._piped)
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
                self.sink.shutdown(socket.SHUT_WR)
            except OSError:  # not connected any more: it was reset, or this end had been passed on before
                _raise_error_of(self.sink)


class Job:
    """Two connections to join. Its sockets belong to whoever serves it, and closes them at the end."""

    def __init__(self, there: Direction, back: Direction, ended: Callable[[OSError | None], None]) -> None:
        """`ended` is called once the sockets are closed; with an error they have been reset."""
        self.sockets = (there.source, back.source)
        self.is_given_up = False
        self.directions = (there, back)
        self._is_suspect = False
        self._ended = ended

    def changed(self, side: int, *, is_ending: bool, is_failing: bool) -> None:
        """The kernel says that there may be something to do with one of the sockets."""
        self._is_suspect |= is_failing
        self.directions[side].source_changed(is_ending=is_ending)

    def move(self, pipes: Pipes | None) -> bool:
        """Move what can be moved now; returns whether there may be more. Raises OSError when a connection broke."""
        has_more = False
        for direction in self.directions:
            if not direction.is_over:
                has_more |= direction.move(pipes)
                direction.release(pipes)
        if self._is_suspect and not has_more:
            self._is_suspect = False
            self._look_for_error()
        return has_more

    @property
    def is_over(self) -> bool:
        """Whether both directions have ended."""
        return all(direction.is_over for direction in self.directions)

    def close(self, error: OSError | None) -> None:
        """Let go of everything."""
        for direction in self.directions:
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
