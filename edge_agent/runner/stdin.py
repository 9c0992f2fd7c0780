"""What is on its way into one process: bytes that its pipe or terminal has not taken yet, never more than a limit.

Offsets count from the first byte that was ever sent. Standard library only.
"""

from __future__ import annotations

import os
import select

from edge_agent.runner import terminal, watch

LIMIT = 256 * 1024
"""Bytes that may wait for one process."""
TELL_AFTER = 64 * 1024
"""The agent is told again when there is room for so many more."""


class Stdin:
    """The runner's end of the stdin of one process. Whoever made it closes the descriptor once `is_over`."""

    def __init__(self, descriptor: int, *, is_terminal: bool) -> None:
        self.descriptor = descriptor
        self.offset = 0
        """Of the first byte that is not here yet."""
        self.is_over = False
        """Nothing more will be written."""
        self._is_terminal = is_terminal
        self._is_complete = False
        self._waiting = bytearray()
        self._told = (-1, -1)

    @property
    def limit(self) -> int:
        """Bytes up to here are taken."""
        if self.is_over or self._is_complete:
            return self.offset
        return self.offset + LIMIT - len(self._waiting)

    @property
    def events(self) -> int:
        """What to wait for on the descriptor.

        A pipe becomes readable when nobody reads its other end any more; a terminal does whenever the program writes.
        """
        waiting = watch.WRITE if self._waiting else 0
        return waiting if self._is_terminal else waiting | watch.READ

    @property
    def is_worth_telling(self) -> bool:
        """Whether the process took so much that the agent should know."""
        if not self._waiting:
            return (self.offset, self.limit) != self._told
        return self.limit - self._told[1] >= TELL_AFTER

    def note_told(self) -> None:
        """The agent knows offset and limit."""
        self._told = (self.offset, self.limit)

    def take(self, offset: int, data: bytes, *, is_last: bool) -> bool:
        """Take bytes and write what can be written; False when the sender seems not to know what is taken.

        What came before is cut off, and so is what exceeds the limit; behind a hole nothing is taken.
        """
        has_no_hole = 0 <= offset <= self.offset
        news = data[self.offset - offset : self.limit - offset] if has_no_hole else b""
        self._waiting += news
        self.offset += len(news)
        is_understood = offset + len(data) == self.offset
        if is_last and is_understood and not self.is_over and not self._is_complete:
            self._complete()
        self.write()
        return is_understood

    def write(self) -> None:
        """Write as much as is taken without waiting; called as well when something happened to the descriptor."""
        try:
            while self._waiting:
                del self._waiting[: os.write(self.descriptor, self._waiting)]
        except BlockingIOError:
            return
        except OSError:
            self.end()  # nobody reads it any more
            return
        if not self._is_terminal and (self._is_complete or _has_no_reader(self.descriptor)):
            self.end()

    def end(self) -> None:
        """Nothing more is written; what waits is dropped."""
        self.is_over = True
        self._waiting.clear()

    def _complete(self) -> None:
        """Nothing follows. A pipe ends once all is written; on a terminal the end of input has to be typed."""
        self._is_complete = True
        if self._is_terminal:
            self._waiting += terminal.end_of_file(self.descriptor)


def _has_no_reader(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
