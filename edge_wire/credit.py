"""Credit: how much output of one execution may be under way. Pure.

The window starts at 64 KiB and doubles up to 4 MiB each time a whole window has been drained, so one bulky execution
gets fast and a thousand quiet ones hold little (architecture, section 4).
"""

from __future__ import annotations

INITIAL_WINDOW = 64 * 1024
LARGEST_WINDOW = 4 * 1024 * 1024


class CreditWindow:
    """The granting side's view of one execution's output in one session. All numbers are bytes."""

    def __init__(self, *, largest: int = LARGEST_WINDOW) -> None:
        self._largest = largest
        self._window = min(INITIAL_WINDOW, largest)
        self._granted = self._window
        self._received = 0
        self._drained = 0
        self._drained_with_this_window = 0

    @property
    def granted(self) -> int:
        """Total that the sender may have sent so far."""
        return self._granted

    @property
    def is_overrun(self) -> bool:
        """Whether the sender sent more than it was granted."""
        return self._received > self._granted

    def receive(self, size: int) -> None:
        """Note that `size` bytes arrived."""
        self._received += size

    def drain(self, size: int) -> int | None:
        """Note that `size` bytes left for good; returns the new total to grant, or None when no frame is worth it."""
        self._drained += size
        self._drained_with_this_window += size
        if self._drained_with_this_window >= self._window:
            self._window = min(self._window * 2, self._largest)
            self._drained_with_this_window = 0
        total = self._drained + self._window
        if total - self._granted < self._window // 2:
            return None
        self._granted = total
        return total
