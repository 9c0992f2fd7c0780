"""Life of an execution: states, events and outcomes. Pure.

One table says which event leads where; everything else (guarded UPDATEs, reports, the exit code) follows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, NewType

CommandId = NewType("CommandId", str)
ExecutionId = NewType("ExecutionId", str)

DEFAULT_KILL_AFTER = timedelta(seconds=10)
DEFAULT_CONTACT_TIMEOUT = timedelta(seconds=60)


class State(StrEnum):
    """Where an execution stands."""

    PENDING = "pending"
    SENT = "sent"
    RUNNING = "running"
    ENDED = "ended"


class Outcome(StrEnum):
    """How an execution ended."""

    OK = "ok"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    OFFLINE = "offline"
    NOT_STARTED = "not_started"
    EXPIRED = "expired"
    DROPPED = "dropped"
    LOST = "lost"


class FrozenExecution(NamedTuple):
    """One execution as it is stored with its command. The fields are columns."""

    id: str
    command_id: str
    position: int
    node_id: str
    node_name: str
    cluster_id: str
    cluster_name: str
    state: State = State.PENDING
    sent_at: datetime | None = None
    sent_epoch: int | None = None


class Event(StrEnum):
    """What may happen to an execution."""

    QUEUE = "queue"
    """Its turn came while its node had no session here: it waits for the node, or for the admin that has it."""
    EXPIRE = "expire"
    """It waited for its node for too long."""
    SEND = "send"
    """Handed to the node's session."""
    RESEND = "resend"
    """The node says that it never arrived: handed to its new session."""
    START = "start"
    """The node says that the process runs."""
    REPORT = "report"
    """The node says how it ended: ok, failed, timed_out, cancelled or lost."""
    FIND_OFFLINE = "find_offline"
    """Its turn came, and its node has no session with any admin."""
    WITHHOLD = "withhold"
    """A cancel, the deadline or too many errors came before it was handed over, or its stdin and its node are with
    different admins."""
    MISS = "miss"
    """The node says that it never arrived, and it is not wanted any more."""
    DROP = "drop"
    """The node was deleted."""
    LOSE = "lose"
    """The node itself does not know an execution that it had said was running."""
    RETURN = "return"
    """The node says that it never arrived, and it may wait: it is as if it had not been handed over."""
    CORRECT = "correct"
    """Late evidence: the node reports how something ended that was given up as lost."""


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.PENDING, Event.QUEUE): State.PENDING,
    (State.PENDING, Event.EXPIRE): State.ENDED,
    (State.PENDING, Event.SEND): State.SENT,
    (State.PENDING, Event.FIND_OFFLINE): State.ENDED,
    (State.PENDING, Event.WITHHOLD): State.ENDED,
    (State.PENDING, Event.DROP): State.ENDED,
    # A report about a row that was never marked sent proves the delivery: the admin died between the two.
    (State.PENDING, Event.START): State.RUNNING,
    (State.PENDING, Event.REPORT): State.ENDED,
    (State.SENT, Event.START): State.RUNNING,
    (State.SENT, Event.REPORT): State.ENDED,
    (State.SENT, Event.RESEND): State.SENT,
    (State.SENT, Event.MISS): State.ENDED,
    (State.SENT, Event.DROP): State.ENDED,
    (State.RUNNING, Event.REPORT): State.ENDED,
    (State.RUNNING, Event.DROP): State.ENDED,
    (State.RUNNING, Event.LOSE): State.ENDED,
    (State.SENT, Event.RETURN): State.PENDING,
    (State.ENDED, Event.CORRECT): State.ENDED,
}
"""Every allowed transition; any other pair changes nothing."""

CORRECTABLE: dict[Outcome, frozenset[Outcome]] = {
    Outcome.LOST: frozenset({Outcome.OK, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CANCELLED}),
}
"""Which outcome late evidence may replace, and by what. `lost` said that the end could not be known; any other outcome
is what the node reported, `cancelled` too, or proof that nothing ran, and stays."""


def sources(event: Event) -> frozenset[State]:
    """The states that an event may leave: the guard of its UPDATE."""
    return frozenset(state for state, happened in TRANSITIONS if happened is event)


def dropped_outcome(state: State) -> Outcome:
    """What deleting the node makes of an open execution: never handed over is `dropped`, else nobody can know."""
    return Outcome.DROPPED if state is State.PENDING else Outcome.LOST


class Action(StrEnum):
    """What to do about one execution when its node opens a session."""

    RESUME = "resume"
    """The node knows it: let it report."""
    RESEND = "resend"
    """It never arrived and is still wanted."""
    RETURN = "return"
    """It never arrived and may wait: the pacer has it again."""
    ACKNOWLEDGE = "acknowledge"
    """Its end is stored: the node may forget it."""
    COLLECT = "collect"
    """It was given up as lost, and the node has it after all: let it report how it ends."""
    STOP = "stop"
    """It is over here, or unknown here, and the node still has it."""
    FIND_OFFLINE = "find_offline"
    """It never arrived, and whoever asked was told that the node is away."""
    WITHHOLD = "withhold"
    """It never arrived and is not wanted any more."""
    LOSE = "lose"
    """The node does not know what it had said was running."""
    LEAVE = "leave"
    """Not handed out yet: the pacer has it."""


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What decides about an execution when its node comes back."""

    state: State | None
    """None when nothing is stored of it."""
    outcome: Outcome | None
    is_known: bool
    """The node has it."""
    is_ended_there: bool
    is_cancelled: bool
    may_wait: bool
    """Whoever asked said that it may wait for its node, or its stdin is with another admin."""
    is_recent: bool
    """Handed out within its contact time-out: after that, starting it would surprise whoever saw the node away."""


def reconcile(found: Circumstances) -> Action:
    """Decide what an execution needs when its node comes back."""
    if found.is_known:
        return _reconcile_known(found)
    if found.state is State.RUNNING:
        return Action.LOSE
    if found.state is not State.SENT:
        return Action.LEAVE
    if found.is_cancelled:
        return Action.WITHHOLD
    if found.may_wait:
        return Action.RETURN
    return Action.RESEND if found.is_recent else Action.FIND_OFFLINE


def _reconcile_known(found: Circumstances) -> Action:
    if found.state is not None and found.state is not State.ENDED:
        return Action.RESUME
    if found.outcome in CORRECTABLE:
        return Action.STOP if found.is_cancelled and not found.is_ended_there else Action.COLLECT
    return Action.ACKNOWLEDGE if found.is_ended_there else Action.STOP


def count_outcomes(outcomes: Iterable[Outcome | None]) -> Counter[str]:
    """How many ended how; open ones count in `total` only."""
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        counts["total"] += 1
        if outcome is not None:
            counts[outcome.value] += 1
    return counts
