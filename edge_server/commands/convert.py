"""Commands between protobuf and domain."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from edge_server.commands.domain import (
    DEFAULT_CONTACT_TIMEOUT,
    DEFAULT_KILL_AFTER,
    FrozenExecution,
    Outcome,
    State,
)
from edge_server.commands.models import ExecutionRow
from edge_server.commands.pacing import DEFAULT_EXPIRES, PaceOptions, Portion, StopReason
from edge_wire.timestamps import from_duration, to_duration, to_timestamp
from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import error_pb2
from edge_wire.v1 import session_pb2 as session

STOP_REASONS: dict[StopReason | None, pb.StopReason.ValueType] = {
    None: pb.STOP_REASON_UNSPECIFIED,
    StopReason.CANCELLED: pb.STOP_REASON_CANCELLED,
    StopReason.DEADLINE: pb.STOP_REASON_DEADLINE,
    StopReason.MAX_ERRORS: pb.STOP_REASON_MAX_ERRORS,
}
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


def pace_options(spec: pb.CommandSpec, *, created_at: datetime, is_cancelled: bool) -> PaceOptions:
    """What the pacer needs of a command."""
    return PaceOptions(
        fanout=portion(spec.fanout),
        batch=portion(spec.batch) if spec.HasField("batch") else None,
        pause=from_duration(spec.pause),
        max_errors=portion(spec.max_errors) if spec.HasField("max_errors") else None,
        deadline_at=created_at + from_duration(spec.deadline) if spec.HasField("deadline") else None,
        expires=from_duration(spec.expires) if spec.HasField("expires") else DEFAULT_EXPIRES,
        is_cancelled=is_cancelled,
    )


def portion(message: pb.Portion) -> Portion:
    """As the pacer has it; without an amount it is the default."""
    kind = message.WhichOneof("amount")
    if kind == "percent":
        return Portion(percent=message.percent)
    return Portion(count=message.count if kind == "count" else None)


def contact_timeout(spec: pb.CommandSpec) -> timedelta:
    """How long a session may be gone before watchers are told."""
    return from_duration(spec.contact_timeout) if spec.HasField("contact_timeout") else DEFAULT_CONTACT_TIMEOUT


def kill_after(spec: pb.CommandSpec) -> timedelta:
    """From SIGTERM to SIGKILL."""
    return from_duration(spec.kill_after) if spec.HasField("kill_after") else DEFAULT_KILL_AFTER


def start_order(spec: pb.CommandSpec, credit: int) -> session.StartExecution:
    """What a node is told to start."""
    order = session.StartExecution(
        kill_after=to_duration(kill_after(spec)),
        exact_output=spec.exact_output,
        credit=credit,
        environment=spec.environment,
        working_directory=spec.working_directory,
        user=spec.user,
        has_stdin=spec.has_stdin,
    )
    if spec.HasField("shell"):
        order.shell = spec.shell
    elif spec.HasField("script"):
        order.script.CopyFrom(spec.script)
    else:
        order.argv.CopyFrom(spec.argv)
    if spec.HasField("timeout"):
        order.timeout.CopyFrom(spec.timeout)
    if spec.HasField("terminal"):
        order.terminal.CopyFrom(spec.terminal)
    return order


def outcome_from_node(end: pb.ExecutionEnd) -> Outcome:
    """How a node says that it ended; what a node cannot know counts as failed."""
    outcome = _OUTCOMES_BACK.get(end.outcome)
    return outcome if outcome is not None and outcome in _FROM_NODE else Outcome.FAILED


def started_from_wire(started: error_pb2.Started.ValueType) -> bool | None:
    """True, False, or None for unknown."""
    return _STARTED_BACK.get(started)


def stop_reason(codes: Collection[str], *, is_cancelled: bool) -> StopReason | None:
    """Why a command was stopped, from the error codes of its executions."""
    if is_cancelled:
        return StopReason.CANCELLED
    return next((reason for reason in (StopReason.DEADLINE, StopReason.MAX_ERRORS) if reason.value in codes), None)


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
        queued_at=to_timestamp(row.queued_at),
        sent_at=to_timestamp(row.sent_at),
        started_at=to_timestamp(row.started_at),
        ended_at=to_timestamp(row.ended_at),
        corrected_at=to_timestamp(row.corrected_at),
    )


def to_target(frozen: FrozenExecution) -> pb.Target:
    """For the wire."""
    return pb.Target(
        execution_id=frozen.id, node_id=frozen.node_id, node_name=frozen.node_name, cluster=frozen.cluster_name
    )
