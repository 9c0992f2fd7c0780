"""Credit: how much output of one execution may be under way. Pure.

The window starts at 64 KiB and doubles up to 4 MiB each time a whole window has been drained, so one bulky execution
gets fast and a thousand quiet ones hold little (architecture, section 4). Many bulky ones share a budget.
"""

from __future__ import annotations

from weakref import WeakSet

INITIAL_WINDOW = 64 * 1024
LARGEST_WINDOW = 4 * 1024 * 1024
SHARED = 16 * 1024 * 1024
"""Bytes that the windows which have grown have together, as long as each has a useful one."""
_USEFUL_WINDOW = 256 * 1024
"""What one message carries at most: a smaller window costs more messages."""
_MOST = 256 * 1024 * 1024
"""Bytes that useful windows have together before they become smaller ones."""


class CreditBudget:
    """What the executions of one program share: those whose windows have grown, for as long as there is the window."""

    def __init__(self) -> None:
        self._grown: WeakSet[CreditWindow] = WeakSet()

    def join(self, window: CreditWindow) -> None:
        """This one has grown."""
        self._grown.add(window)

    @property
    def share(self) -> int:
        """Bytes of the largest window that there may be now."""
        return share_of(len(self._grown))


def share_of(count: int) -> int:
    """Bytes of the largest window when so many have grown."""
    count = max(1, count)
    least = max(INITIAL_WINDOW, min(_USEFUL_WINDOW, _MOST // count))
    return min(LARGEST_WINDOW, max(least, SHARED // count))


class CreditWindow:
    """The granting side's view of one execution's output in one session. All numbers are bytes."""

    def __init__(self, *, largest: int = LARGEST_WINDOW, budget: CreditBudget | None = None) -> None:
        self._largest = largest
        self._budget = budget
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
            self._grow()
        window = self._window if self._budget is None else min(self._window, self._budget.share)
        total = self._drained + window
        if total - self._granted < window // 2:
            return None
        self._granted = total
        return total

    def _grow(self) -> None:
        self._window = min(self._window * 2, self._largest)
        self._drained_with_this_window = 0
        if self._budget is not None:
            self._budget.join(self)
