"""What a client sends to a program, and the end of it.

As long as the program keeps up, the transport's thread writes what comes at once: to wake another thread for each
packet costs more than all else. What the program does not take waits in the channel, for the program's own thread.
"""

from __future__ import annotations

import os
import threading
from typing import cast

from paramiko.channel import Channel

from edge_agent.runner import terminal
from edge_agent.ssh.deeds import Deeds
from edge_agent.ssh.programs import Program
from edge_agent.ssh.transport import Transport

_CHUNK = 256 * 1024


class Input:
    """The input of one program. In its thread, but for `take`."""

    def __init__(self, channel: Channel, program: Program, deeds: Deeds, lock: threading.Lock) -> None:
        """Whoever closes what the program reads holds the lock."""
        self._channel = channel
        self._transport = cast("Transport", channel.get_transport())
        self._lock = lock
        self._is_moving = False
        """The program's thread has, or is about to look for, what comes before anything new."""
        self._owed = 0
        """Taken by `take`, and not yet granted to the client again."""
        self._program = program
        self._deeds = deeds
        self._pending = b""
        """Came from the client and was not written yet."""
        self._is_over = False

    @property
    def waits_for(self) -> int | None:
        """The descriptor that has to take more before there is anything to do."""
        return self._program.stdin if self._pending else None

    @property
    def is_owed_much(self) -> bool:
        """Whether `move` is due for the client to hear that it may send more."""
        return self._owed > self._channel.in_window_threshold

    def take(self, data: bytes) -> bytes:
        """Write what just came, if nothing is before it; returns the rest. In any thread that holds the lock."""
        is_next = not (self._is_moving or self._pending or self._channel.eof_received or len(self._channel.in_buffer))
        if not is_next or self._program.stdin is None:
            return data
        try:
            size = os.write(self._program.stdin, data)
        except OSError:  # be it that it takes nothing just now: `move` finds the same
            return data
        self._owed += size
        self._deeds.count(received=size)
        return data[size:]

    def move(self) -> None:
        """Write what the client has sent, as much of it as the program takes just now."""
        with self._lock:
            self._is_moving = True
            owed, self._owed = self._owed, 0
        try:
            self._transport.grant(self._channel, owed)
            self._move()
        finally:
            with self._lock:
                self._is_moving = False

    def _move(self) -> None:
        self._take()
        while self._pending:
            if self._program.stdin is None:
                self._pending = b""  # nobody reads it, and the client need not stop for that
            else:
                try:
                    self._pending = self._pending[os.write(self._program.stdin, self._pending) :]
                except BlockingIOError:
                    return
                except OSError:
                    self._close()
            self._take()

    def _take(self) -> None:
        if self._pending or self._is_over:
            return
        try:
            self._pending = self._channel.recv(_CHUNK)
        except TimeoutError:
            return
        self._deeds.count(received=len(self._pending))
        if not self._pending:
            self._is_over = True
            self._end()

    def _end(self) -> None:
        if self._program.is_terminal and self._program.stdin is not None:
            self._pending = terminal.end_of_file(self._program.stdin)
        else:
            self._close()

    def _close(self) -> None:
        with self._lock:
            if self._program.stdin is not None and not self._program.is_terminal:  # where it is stdout, too
                os.close(self._program.stdin)
            self._program.stdin = None
