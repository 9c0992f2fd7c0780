"""Commands between protobuf and domain, and the checks of what an operator may ask."""

from __future__ import annotations

from datetime import timedelta

from edge_server.commands.domain import (
    DEFAULT_CONTACT_TIMEOUT,
    DEFAULT_KILL_AFTER,
    Outcome,
    Portion,
    State,
)
from edge_server.commands.models import ExecutionRow
from edge_wire.errors import ArgvInvalid, InvalidValue
from edge_wire.timestamps import from_duration, to_duration, to_timestamp
from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import error_pb2
from edge_wire.v1 import session_pb2 as session

ARGV_LIMIT = 512 * 1024
"""Bytes of a command; Linux takes 128 KiB in one argument and more in all, the node has the last word."""
ARGUMENTS_LIMIT = 50_000
"""Arguments of a command: even empty ones take room in the order and on the node."""
NAME_LIMIT = 100
REQUEST_ID_LIMIT = 100
_LONGEST = timedelta(days=365)

STATES: dict[State, pb.ExecutionState.ValueType] = {
    State.PENDING: pb.EXECUTION_STATE_PENDING,
    State.SENT: pb.EXECUTION_STATE_SENT,
    State.RUNNING: pb.EXECUTION_STATE_RUNNING,
    State.ENDED: pb.EXECUTION_STATE_ENDED,
}
OUTCOMES: dict[Outcome, pb.Outcome.ValueType] = {
    Outcome.OK: pb.OUTCOME_OK,
    Outcome.FAILED: pb.OUTCOME_FAILED,
    Outcome.TIMED_OUT: pb.OUTCOME_TIMED_OUT,
    Outcome.CANCELLED: pb.OUTCOME_CANCELLED,
    Outcome.OFFLINE: pb.OUTCOME_OFFLINE,
    Outcome.NOT_STARTED: pb.OUTCOME_NOT_STARTED,
    Outcome.EXPIRED: pb.OUTCOME_EXPIRED,
    Outcome.DROPPED: pb.OUTCOME_DROPPED,
    Outcome.LOST: pb.OUTCOME_LOST,
}
_FROM_NODE = {Outcome.OK, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CANCELLED, Outcome.LOST}
_OUTCOMES_BACK = {wire: outcome for outcome, wire in OUTCOMES.items()}
_STARTED: dict[bool | None, error_pb2.Started.ValueType] = {
    True: error_pb2.STARTED_YES,
    False: error_pb2.STARTED_NO,
    None: error_pb2.STARTED_UNKNOWN,
}
_STARTED_BACK: dict[int, bool] = {error_pb2.STARTED_YES: True, error_pb2.STARTED_NO: False}


def check_spec(spec: pb.CommandSpec) -> None:
    """Raise ArgvInvalid or InvalidValue when a command cannot be meant."""
    words = [spec.shell] if spec.HasField("shell") else list(spec.argv.arguments)
    if not words or not words[0].strip():
        raise ArgvInvalid("there is no command to run", hint="edgectl exec NODE -- COMMAND [ARGUMENTS]")
    if any("\0" in word for word in words):
        raise ArgvInvalid("an argument holds a NUL character")
    size = sum(len(word.encode("utf-8", "surrogatepass")) for word in words)
    if size > ARGV_LIMIT:
        raise ArgvInvalid(f"the command has {size} bytes, at most {ARGV_LIMIT} are allowed")
    if len(words) > ARGUMENTS_LIMIT:
        raise ArgvInvalid(f"the command has {len(words)} arguments, at most {ARGUMENTS_LIMIT} are allowed")
    if len(spec.name) > NAME_LIMIT:
        raise InvalidValue(f"a command's name has at most {NAME_LIMIT} characters")
    _check_fanout(spec)
    for field in ("timeout", "kill_after", "contact_timeout"):
        if spec.HasField(field) and not timedelta(0) <= from_duration(getattr(spec, field)) <= _LONGEST:
            raise InvalidValue(f"{field} must lie between 0 and {_LONGEST.days} days")
    if spec.HasField("timeout") and not from_duration(spec.timeout):
        raise InvalidValue("timeout must be longer than 0; leave it out for no limit")


def _check_fanout(spec: pb.CommandSpec) -> None:
    kind = spec.fanout.WhichOneof("amount")
    if kind == "count" and spec.fanout.count < 1:
        raise InvalidValue("fanout must be at least 1")
    if kind == "percent" and not 1 <= spec.fanout.percent <= 100:
        raise InvalidValue("fanout must be from 1% to 100%")


def fanout(spec: pb.CommandSpec) -> Portion:
    """The cap on executions under way."""
    kind = spec.fanout.WhichOneof("amount")
    if kind == "percent":
        return Portion(percent=spec.fanout.percent)
    return Portion(count=spec.fanout.count if kind == "count" else None)


def contact_timeout(spec: pb.CommandSpec) -> timedelta:
    """How long a session may be gone before watchers are told."""
    return from_duration(spec.contact_timeout) if spec.HasField("contact_timeout") else DEFAULT_CONTACT_TIMEOUT


def kill_after(spec: pb.CommandSpec) -> timedelta:
    """From SIGTERM to SIGKILL."""
    return from_duration(spec.kill_after) if spec.HasField("kill_after") else DEFAULT_KILL_AFTER


def start_order(spec: pb.CommandSpec, credit: int) -> session.StartExecution:
    """What a node is told to start."""
    order = session.StartExecution(
        kill_after=to_duration(kill_after(spec)), exact_output=spec.exact_output, credit=credit
    )
    if spec.HasField("shell"):
        order.shell = spec.shell
    else:
        order.argv.CopyFrom(spec.argv)
    if spec.HasField("timeout"):
        order.timeout.CopyFrom(spec.timeout)
    return order


def outcome_from_node(end: pb.ExecutionEnd) -> Outcome:
    """How a node says that it ended; what a node cannot know counts as failed."""
    outcome = _OUTCOMES_BACK.get(end.outcome)
    return outcome if outcome is not None and outcome in _FROM_NODE else Outcome.FAILED


def started_from_wire(started: error_pb2.Started.ValueType) -> bool | None:
    """True, False, or None for unknown."""
    return _STARTED_BACK.get(started)


def end_of(outcome: Outcome, *, started: bool | None, error_code: str = "", error_message: str = "") -> pb.ExecutionEnd:
    """An end that the admin itself states."""
    return pb.ExecutionEnd(
        outcome=OUTCOMES[outcome], started=_STARTED[started], error_code=error_code, error_message=error_message
    )


def end_from_row(row: ExecutionRow) -> pb.ExecutionEnd | None:
    """The end as it is stored; None while it is open."""
    if row.outcome is None:
        return None
    end = end_of(row.outcome, started=row.started, error_code=row.error_code, error_message=row.error_message)
    if row.exit_code is not None:
        end.exit_code = row.exit_code
    if row.duration_ms is not None:
        end.duration.FromMilliseconds(row.duration_ms)
    end.signal = row.signal
    end.stdout_bytes, end.stderr_bytes = row.stdout_bytes, row.stderr_bytes
    end.truncated, end.output_held_open = row.truncated, row.output_held_open
    return end


def to_execution(row: ExecutionRow) -> pb.Execution:
    """For the wire."""
    return pb.Execution(
        id=row.id,
        node_id=row.node_id,
        node_name=row.node_name,
        cluster=row.cluster_name,
        state=STATES[row.state],
        end=end_from_row(row),
        sent_at=to_timestamp(row.sent_at),
        started_at=to_timestamp(row.started_at),
        ended_at=to_timestamp(row.ended_at),
    )


def to_target(row: ExecutionRow) -> pb.Target:
    """For the wire."""
    return pb.Target(execution_id=row.id, node_id=row.node_id, node_name=row.node_name, cluster=row.cluster_name)
