"""Counting refused credentials per source address, so that guessing is slow. Pure: time is an argument."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=1)
LIMIT = 30
"""Refusals per source and window before it is turned away unheard."""
_SOURCES_KEPT = 10_000


class FailureLimiter:
    """Remembers recent refusals. Memory is bounded: the source that was refused longest ago is forgotten first."""

    def __init__(self) -> None:
        self._failures: dict[str, deque[datetime]] = {}
        self.total = 0

    def is_blocked(self, source: str, now: datetime) -> bool:
        """Whether this source has used up its refusals."""
        return source in self._failures and len(self._recent(source, now)) >= LIMIT

    def count(self, source: str, now: datetime) -> None:
        """Note one refusal."""
        self.total += 1
        recent = self._recent(source, now)
        recent.append(now)
        self._failures.pop(source, None)
        self._failures[source] = recent
        while len(self._failures) > _SOURCES_KEPT:
            self._failures.pop(next(iter(self._failures)))

    def _recent(self, source: str, now: datetime) -> deque[datetime]:
        recent = self._failures.get(source) or deque(maxlen=LIMIT)
        while recent and now - recent[0] > WINDOW:
            recent.popleft()
        return recent
