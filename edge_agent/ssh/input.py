"""What a client sends to a program, and the end of it."""

from __future__ import annotations

import os

from paramiko.channel import Channel

from edge_agent.runner import terminal
from edge_agent.ssh.deeds import Deeds
from edge_agent.ssh.programs import Program

_CHUNK = 256 * 1024


class Input:
    """The input of one program. In its thread."""

    def __init__(self, channel: Channel, program: Program, deeds: Deeds) -> None:
        self._channel = channel
        self._program = program
        self._deeds = deeds
        self._pending = b""
        """Came from the client and was not written yet."""
        self._is_over = False

    @property
    def waits_for(self) -> int | None:
        """The descriptor that has to take more before there is anything to do."""
        return self._program.stdin if self._pending else None

    def move(self) -> None:
        """Write what the client has sent, as much of it as the program takes just now."""
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
        if self._program.stdin is not None and not self._program.is_terminal:  # where it is stdout, too
            os.close(self._program.stdin)
        self._program.stdin = None
