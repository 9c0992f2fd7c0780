"""The pacer: what of a command starts, waits or never starts now. Pure: its only state is the command's rows.

So an admin that dies in the middle of a batch changes nothing about what runs when: its successor decides the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from edge_server.commands.domain import ExecutionId, Outcome, State

DEFAULT_FANOUT = 64
DEFAULT_EXPIRES = timedelta(hours=24)
_ERRORS = {Outcome.FAILED, Outcome.TIMED_OUT, Outcome.LOST}
"""What counts for --max-errors: a node that was never reached says nothing about the command."""


class StopReason(StrEnum):
    """Why a command starts nothing more; also the error code of what never started for it."""

    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    MAX_ERRORS = "max_errors"


@dataclass(frozen=True, kw_only=True)
class Portion:
    """A number of a command's executions; at most one of both is set."""

    count: int | None = None
    percent: int | None = None

    def limit(self, target_count: int) -> int:
        """As a cap: rounded up, at least one."""
        if self.percent is not None:
            return max(1, math.ceil(target_count * self.percent / 100))
        return self.count or DEFAULT_FANOUT

    def is_exceeded_by(self, number: int, target_count: int) -> bool:
        """Whether `number` of `target_count` is more than this, without rounding."""
        if self.percent is not None:
            return number * 100 > self.percent * target_count
        return self.count is not None and number > self.count


class PacedRow(NamedTuple):
    """What the pacer knows of one execution."""

    id: ExecutionId
    state: State
    outcome: Outcome | None = None
    ended_at: datetime | None = None
    queued_at: datetime | None = None
    is_reachable: bool = True
    """Whether its node has a session now; asked of queued ones only."""

    @property
    def is_queued(self) -> bool:
        """Whether it had its turn and was told to wait for its node: it holds up nobody."""
        return self.queued_at is not None


@dataclass(frozen=True, kw_only=True)
class PaceOptions:
    """What the operator asked for."""

    fanout: Portion
    batch: Portion | None = None
    pause: timedelta = timedelta(0)
    max_errors: Portion | None = None
    deadline_at: datetime | None = None
    expires: timedelta = DEFAULT_EXPIRES
    is_cancelled: bool = False


@dataclass(frozen=True, kw_only=True)
class PaceDecision:
    """What to do now."""

    start: Sequence[ExecutionId] = ()
    withhold: Sequence[ExecutionId] = ()
    expire: Sequence[ExecutionId] = ()
    stop_reason: StopReason | None = None
    again_at: datetime | None = None
    """When time alone changes something."""


def decide(rows: Sequence[PacedRow], options: PaceOptions, now: datetime) -> PaceDecision:
    """Decide what starts now, in the frozen order of the rows."""
    pending = [row for row in rows if row.state is State.PENDING]
    reason = _stop_reason(rows, options, now)
    if reason is not None:
        return PaceDecision(withhold=[row.id for row in pending], stop_reason=reason)
    queued = [(row, row.queued_at + options.expires) for row in pending if row.queued_at is not None]
    expired = [row for row, expires_at in queued if now >= expires_at]
    waiting = [row for row, expires_at in queued if now < expires_at]
    turn, next_batch_at = _turn(rows, options, now)
    under_way = sum(1 for row in rows if row.state in {State.SENT, State.RUNNING})
    room = max(0, options.fanout.limit(len(rows)) - under_way)
    ready = [*(row for row in waiting if row.is_reachable), *turn]
    expiries = (expires_at for _, expires_at in queued if now < expires_at)
    moments = [options.deadline_at, next_batch_at, *expiries]
    return PaceDecision(
        start=[row.id for row in ready[:room]],
        expire=[row.id for row in expired],
        again_at=min((moment for moment in moments if moment is not None), default=None),
    )


def _stop_reason(rows: Sequence[PacedRow], options: PaceOptions, now: datetime) -> StopReason | None:
    if options.is_cancelled:
        return StopReason.CANCELLED
    if options.deadline_at is not None and now >= options.deadline_at:
        return StopReason.DEADLINE
    errors = sum(1 for row in rows if row.outcome in _ERRORS)
    if options.max_errors is not None and options.max_errors.is_exceeded_by(errors, len(rows)):
        return StopReason.MAX_ERRORS
    return None


def _turn(rows: Sequence[PacedRow], options: PaceOptions, now: datetime) -> tuple[Sequence[PacedRow], datetime | None]:
    """Those whose turn it is, or when the next batch may begin."""
    size = options.batch.limit(len(rows)) if options.batch is not None else max(1, len(rows))
    for start in range(0, len(rows), size):
        todo = [row for row in rows[start : start + size] if row.state is State.PENDING and not row.is_queued]
        if todo:
            before = [row for row in rows[:start] if not row.is_queued]
            if any(row.state is not State.ENDED for row in before):
                return [], None
            begins_at = _last_end(before, options.pause)
            return (todo, None) if begins_at is None or now >= begins_at else ([], begins_at)
    return [], None


def _last_end(rows: Iterable[PacedRow], pause: timedelta) -> datetime | None:
    ends = [row.ended_at for row in rows if row.ended_at is not None]
    return max(ends) + pause if ends and pause else None
