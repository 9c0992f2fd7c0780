"""When a command is pumped again: once for all ends that were stored together, and when time alone changes a thing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from edge_server.commands.domain import CommandId
from edge_server.commands.run import CommandRun

_SLACK = 0.002
"""Seconds added to a timer, so that its moment has come for certain when it fires."""


class PumpTimers:
    """Calls `pump` with a command, soon or at its time; at most one of each waits per command."""

    def __init__(self, pump: Callable[[CommandRun], None]) -> None:
        self._pump = pump
        self._due: dict[CommandId, CommandRun] = {}
        self._timers: dict[CommandId, asyncio.TimerHandle] = {}

    def pump_soon(self, run: CommandRun) -> None:
        """Pump when what happens now has happened."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._pump_due)
        self._due[run.id] = run

    def pump_at(self, run: CommandRun, at: datetime | None) -> None:
        """Pump at this time of the command's own clock and not at one that was said before; None: not by time."""
        timer = self._timers.pop(run.id, None)
        if timer is not None:
            timer.cancel()
        if at is not None:
            wait = max(0.0, (at - run.pacing_time()).total_seconds())
            self._timers[run.id] = asyncio.get_running_loop().call_later(wait + _SLACK, self._pump, run)

    def stop(self) -> None:
        """Pump nothing any more by time."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _pump_due(self) -> None:
        due, self._due = self._due, {}
        for run in due.values():
            self._pump(run)
