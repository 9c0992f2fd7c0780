"""Executions in the order in which they get their turn, and who has one of the places of what may run at once."""

from __future__ import annotations

from collections import deque

from edge_agent.executions.live import Live


class Line:
    """Who waits and who is under way."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._waiting: deque[str] = deque()
        self._under_way: set[str] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, execution_id: str) -> bool:
        return execution_id in self._waiting

    @property
    def has_place(self) -> bool:
        """Whether one more may run."""
        return len(self._under_way) < self._places

    @property
    def under_way(self) -> int:
        """How many have a place."""
        return len(self._under_way)

    def note(self, live: Live) -> None:
        """Take or give back its place, after something happened to it."""
        if live.is_running:
            self._under_way.add(live.entry.id)
        else:
            self._under_way.discard(live.entry.id)

    def append(self, execution_id: str) -> None:
        """Wait behind the others."""
        self._waiting.append(execution_id)

    def append_first(self, execution_id: str) -> None:
        """Wait before the others: it had its turn and could not take it."""
        self._waiting.appendleft(execution_id)

    def next(self) -> str:
        """Whose turn it is."""
        return self._waiting.popleft()

    def remove(self, execution_id: str) -> None:
        """It waits no more."""
        self._waiting.remove(execution_id)
