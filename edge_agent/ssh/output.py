"""What a program writes: read in large pieces, and bounded once the program is over and only its children write."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

_CHUNK = 256 * 1024


class Output:
    """One of a program's outputs."""

    def __init__(self, descriptor: int | None, *, is_error: bool = False) -> None:
        self.descriptor = -1 if descriptor is None else descriptor
        """Not closed here."""
        self.is_error = is_error
        self.is_open = True
        self.pending = memoryview(b"")
        """Read and not sent yet."""
        self._budget: int | None = None

    @property
    def wants_more(self) -> bool:
        """Whether to look for more."""
        return self.is_open and not self.pending and (self._budget is None or self._budget > 0)

    @property
    def is_bounded(self) -> bool:
        """Whether only what was there is still taken."""
        return self._budget is not None

    @property
    def is_finished(self) -> bool:
        """Whether everything is read and sent."""
        return not self.pending and (not self.is_open or self._budget == 0)

    def read(self) -> bytes:
        """What there is, also as `pending`; b"" when there is nothing, or it is over."""
        try:
            data = os.read(self.descriptor, _CHUNK)
        except BlockingIOError:
            if self._budget is not None:
                self._budget = 0
            return b""
        except OSError:  # how a terminal ends
            data = b""
        if not data:
            self.is_open = False
        if self._budget is not None:
            data = data[: self._budget]
            self._budget -= len(data)
        self.pending = memoryview(data)
        return data

    def take_only_what_is_there(self) -> None:
        """From now on others only keep it open."""
        if self._budget is None and self.is_open:
            self._budget = self._waiting()

    def discard(self) -> None:
        """Nobody wants any of it."""
        self.is_open = False
        self.pending = memoryview(b"")

    def _waiting(self) -> int:
        try:
            count: int = struct.unpack("i", fcntl.ioctl(self.descriptor, termios.FIONREAD, b"\0" * 4))[0]
        except OSError:
            return 0
        return count
