"""How many connections there are, and whether one more may come. Used from several threads; does no I/O."""

from __future__ import annotations

import threading
from collections import Counter

from edge_agent.ssh.settings import SshSettings


class Limits:
    """Counts of connections that have logged in and of those that have not."""

    def __init__(self, settings: SshSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._waiting: Counter[str] = Counter()
        """Connections that have not logged in, by address."""
        self._sessions = 0

    def has_room(self, address: str) -> bool:
        """Whether one more connection may come from there."""
        return (
            self._sessions < self._settings.max_sessions
            and self._waiting.total() < self._settings.max_unauthenticated
            and self._waiting[address] < self._settings.max_unauthenticated_per_address
        )

    def enter(self, address: str) -> bool:
        """Count a new connection, or say that it is one too many."""
        with self._lock:
            has_room = self.has_room(address)
            if has_room:
                self._waiting[address] += 1
            return has_room

    def log_in(self, address: str) -> bool:
        """A connection that waited is a session now, or there are too many of those already."""
        with self._lock:
            has_room = self._sessions < self._settings.max_sessions
            if has_room:
                self._stop_waiting(address)
                self._sessions += 1
            return has_room

    def leave(self, address: str, *, has_logged_in: bool) -> None:
        """A connection is over."""
        with self._lock:
            if has_logged_in:
                self._sessions -= 1
            else:
                self._stop_waiting(address)

    def _stop_waiting(self, address: str) -> None:
        self._waiting[address] -= 1
        if self._waiting[address] <= 0:
            del self._waiting[address]
