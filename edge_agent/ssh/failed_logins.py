"""Reports of connections that went without having logged in: a flood becomes a few of them, with counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import uuid4

from edge_wire.timestamps import to_timestamp
from edge_wire.v1 import ssh_pb2 as pb

_WINDOW = timedelta(seconds=10)
_KINDS_LIMIT = 256
"""Pairs of address and reason that are told apart; beyond them the address is left out."""

_Kind = tuple[str, str]


class FailedLogins:
    """The first failure of a kind is reported at once, those that follow together. On the event loop."""

    def __init__(
        self, report: Callable[[pb.SshReport], None], now: Callable[[], datetime], *, window: timedelta = _WINDOW
    ) -> None:
        self._report = report
        self._now = now
        self._window = window
        self._held: dict[_Kind, pb.SshLoginFailed] = {}
        """What is counted until its window ends."""
        self._timers: dict[_Kind, asyncio.TimerHandle] = {}

    def count(self, origin: pb.SshOrigin, user: str, reason: str) -> None:
        """One more connection that went."""
        address = origin.address
        if (address, reason) not in self._held and len(self._held) >= _KINDS_LIMIT:
            origin, address = pb.SshOrigin(), ""
        kind = (address, reason)
        if kind not in self._held:
            self._send(pb.SshLoginFailed(origin=origin, user=user, reason=reason, count=1))
            self._open_window(kind)
            return
        held = self._held[kind]
        if held.count == 0:
            held.CopyFrom(pb.SshLoginFailed(origin=origin, user=user, reason=reason))
        held.count += 1
        if held.user != user:
            held.user = ""

    def flush(self) -> None:
        """Report what is held."""
        for timer in self._timers.values():
            timer.cancel()
        for held in self._held.values():
            if held.count:
                self._send(held)
        self._held.clear()
        self._timers.clear()

    def _open_window(self, kind: _Kind) -> None:
        self._held[kind] = pb.SshLoginFailed()
        loop = asyncio.get_running_loop()
        self._timers[kind] = loop.call_later(self._window.total_seconds(), self._close_window, kind)

    def _close_window(self, kind: _Kind) -> None:
        held = self._held.pop(kind)
        del self._timers[kind]
        if held.count:
            self._send(held)
            self._open_window(kind)

    def _send(self, failed: pb.SshLoginFailed) -> None:
        self._report(pb.SshReport(report_id=str(uuid4()), time=to_timestamp(self._now()), failed=failed))
