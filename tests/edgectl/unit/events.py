"""Makes what an admin says about a command, in few words, for the tests of what edgectl makes of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from edge_wire.errors import EdgeError
from edge_wire.timestamps import to_duration
from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import error_pb2
from edgectl.execution.sink import Piece
from edgectl.execution.tally import Happening, Standing, Tally
from edgectl.views.view import Result

COMMAND = "9f3c1d20-0000-4000-8000-000000000000"
NOON = Timestamp(seconds=1_772_366_400)
"""2026-03-01T12:00:00Z, when everything here happens."""
STDOUT = pb.OUTPUT_STREAM_STDOUT
STDERR = pb.OUTPUT_STREAM_STDERR
WEB = pb.Target(execution_id="x-web", node_id="n-web", node_name="web-1", cluster="oslo")
DB = pb.Target(execution_id="x-db", node_id="n-db", node_name="db-1", cluster="oslo")


def output(
    data: bytes, *, at: int = 0, stream: pb.OutputStream.ValueType = STDOUT, of: pb.Target = WEB
) -> pb.CommandEvent:
    chunk = pb.OutputChunk(stream=stream, offset=at, data=data)
    return pb.CommandEvent(execution_id=of.execution_id, time=NOON, output=chunk)


def gap(start: int, stop: int, *, stream: pb.OutputStream.ValueType = STDOUT, of: pb.Target = WEB) -> pb.CommandEvent:
    missing = pb.OutputGap(stream=stream, from_offset=start, to_offset=stop)
    return pb.CommandEvent(execution_id=of.execution_id, time=NOON, gap=missing)


def state(value: pb.ExecutionState.ValueType, *, of: pb.Target = WEB) -> pb.CommandEvent:
    return pb.CommandEvent(execution_id=of.execution_id, time=NOON, state=value)


def no_contact(*, of: pb.Target = WEB) -> pb.CommandEvent:
    return pb.CommandEvent(execution_id=of.execution_id, time=NOON, no_contact=pb.NoContact())


def contact(*, of: pb.Target = WEB) -> pb.CommandEvent:
    return pb.CommandEvent(execution_id=of.execution_id, time=NOON, contact=pb.Contact())


def ended(message: pb.ExecutionEnd, *, of: pb.Target = WEB) -> pb.CommandEvent:
    return pb.CommandEvent(execution_id=of.execution_id, time=NOON, end=message)


def ok(*, stdout_bytes: int = 0) -> pb.ExecutionEnd:
    return pb.ExecutionEnd(
        outcome=pb.OUTCOME_OK,
        started=error_pb2.STARTED_YES,
        exit_code=0,
        duration=to_duration(timedelta(milliseconds=184)),
        stdout_bytes=stdout_bytes,
    )


def exited(code: int) -> pb.ExecutionEnd:
    return pb.ExecutionEnd(outcome=pb.OUTCOME_FAILED, started=error_pb2.STARTED_YES, exit_code=code)


def killed(signal: str) -> pb.ExecutionEnd:
    return pb.ExecutionEnd(outcome=pb.OUTCOME_FAILED, started=error_pb2.STARTED_YES, signal=signal)


def says(
    *events: pb.CommandEvent, accepted: Iterable[pb.Target] = (), is_finished: bool = False
) -> pb.WatchCommandResponse:
    response = pb.WatchCommandResponse(events=events)
    targets = list(accepted)
    if targets:
        response.accepted.CopyFrom(pb.CreateCommandResponse(command_id=COMMAND, targets=targets))
    if is_finished:
        response.finished.SetInParent()
    return response


def tally_of(*targets: pb.Target) -> Tally:
    """A tally that knows of a command on these."""
    tally = Tally()
    tally.take(says(accepted=targets))
    return tally


def happening(event: pb.CommandEvent) -> Happening:
    return Happening({WEB.execution_id: WEB, DB.execution_id: DB}[event.execution_id], event)


def result_of(tally: Tally, *, exit_code: int = 0, failure: EdgeError | None = None) -> Result:
    return Result(
        command_id=COMMAND,
        counts=tally.counts(),
        standings=list(tally.standings.values()),
        exit_code=exit_code,
        elapsed=timedelta(milliseconds=210),
        failure=failure,
    )


def standing(end: pb.ExecutionEnd | None, *, has_contact: bool = True, has_gap: bool = False) -> Standing:
    return Standing(WEB, end=end, has_contact=has_contact, has_gap=has_gap)


def written(pieces: Iterable[Piece], descriptor: int) -> bytes:
    """What a reader of one descriptor sees."""
    return b"".join(piece.data for piece in pieces if piece.descriptor == descriptor)
