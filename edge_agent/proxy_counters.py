"""What became of the connections of the agent's own proxies, for `edge-agent status`. Since the start of the agent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_wire.lazy_timer import LazyTimer
from edge_wire.streams import Flow

_NOTED_EVERY = 1.0
"""Seconds: many connections are one note."""


@dataclass(kw_only=True)
class ProxyCounters:
    """Counted for both proxies together."""

    open: int = 0
    opened: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Those that never opened, by the code of the error."""
    sent: int = 0
    """Bytes towards targets, of those that ended."""
    received: int = 0

    def to_json(self) -> dict[str, Any]:
        """For the status file."""
        return {
            "open": self.open,
            "opened": self.opened,
            "refused": dict(self.refused),
            "bytes_sent": self.sent,
            "bytes_received": self.received,
        }


class ProxyAccount:
    """Keeps the counters, and notes them soon after they changed."""

    def __init__(self, note: Callable[[Mapping[str, Any]], None]) -> None:
        """`note` replaces what was noted before."""
        self._counters = ProxyCounters()
        self._note = note
        self._timer = LazyTimer(self.note_now)

    def refused(self, code: str) -> None:
        """A client or a target was refused."""
        self._counters.refused[code] += 1
        self._timer.within(_NOTED_EVERY)

    def opened(self) -> None:
        """A target answered."""
        self._counters.open += 1
        self._counters.opened += 1
        self._timer.within(_NOTED_EVERY)

    def ended(self, flow: Flow) -> None:
        """A connection that was open is over."""
        self._counters.open -= 1
        self._counters.sent += flow.sent
        self._counters.received += flow.received
        self._timer.within(_NOTED_EVERY)

    def note_now(self) -> None:
        """Note them, whatever changed."""
        self._timer.cancel()
        self._note(self._counters.to_json())
