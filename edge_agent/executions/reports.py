"""What the admin is told of executions, made of what the runner says and of what the journal keeps. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edge_agent.executions import ends
from edge_agent.executions.journal_records import Entry
from edge_agent.runner.protocol import Message
from edge_wire.errors import EdgeError
from edge_wire.v1 import command_pb2
from edge_wire.v1 import session_pb2 as pb

_STREAMS: Mapping[str, command_pb2.OutputStream.ValueType] = {
    "stdout": command_pb2.OUTPUT_STREAM_STDOUT,
    "stderr": command_pb2.OUTPUT_STREAM_STDERR,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """Some of what one wrote. It becomes part of a message when it is sent: each message in a message copies it."""

    execution_id: str
    stream: command_pb2.OutputStream.ValueType
    offset: int
    data: bytes

    @property
    def size(self) -> int:
        """Bytes of the report, or a few more."""
        return len(self.data) + len(self.execution_id) + 32

    def pieces(self, limit: int) -> Sequence[Output]:
        """The same as reports of at most so many bytes, with at least one of what was written in each."""
        if self.size <= limit:
            return (self,)
        step = max(1, limit - (self.size - len(self.data)))
        starts = range(0, len(self.data), step)
        return [replace(self, offset=self.offset + start, data=self.data[start : start + step]) for start in starts]

    def write_to(self, report: pb.ExecutionReport) -> None:
        """Say it in an empty report."""
        report.execution_id = self.execution_id
        chunk = report.output
        chunk.stream, chunk.offset, chunk.data = self.stream, self.offset, self.data


Report = pb.ExecutionReport | Output
"""What a session is told of executions."""


def started(entry: Entry) -> pb.ExecutionReport:
    """Its process runs or ran."""
    assert entry.started is not None
    return pb.ExecutionReport(execution_id=entry.id, started=pb.ExecutionStarted(pid=entry.started["pid"]))


def output(message: Message) -> Output:
    """Some of what it wrote."""
    said = message.fields
    stream = _STREAMS[said["stream"]]
    return Output(execution_id=said["id"], stream=stream, offset=said["offset"], data=message.payload)


def gap(message: Message) -> pb.ExecutionReport:
    """Something that it wrote is not to be had any more."""
    said = message.fields
    missing = command_pb2.OutputGap(
        stream=_STREAMS[said["stream"]], from_offset=said["from_offset"], to_offset=said["to_offset"]
    )
    return pb.ExecutionReport(execution_id=said["id"], gap=missing)


def stdin_wanted(message: Message) -> pb.ExecutionReport:
    """How far it is with its stdin."""
    said = message.fields
    wanted = pb.StdinWanted(offset=said["offset"], limit=said["limit"], closed=said.get("closed", False))
    return pb.ExecutionReport(execution_id=message.fields["id"], stdin_wanted=wanted)


def ended(entry: Entry) -> pb.ExecutionReport:
    """It is over."""
    assert entry.end is not None
    return pb.ExecutionReport(execution_id=entry.id, end=ends.to_message(entry.end))


def forgotten(execution_id: str) -> pb.ExecutionReport:
    """It is over, its end was acknowledged and is not kept."""
    end = ends.lost("unknown_to_node", "the node has handed over its end before and forgotten it", was_started=False)
    return pb.ExecutionReport(execution_id=execution_id, end=ends.to_message(end))


def refused(execution_id: str, error: EdgeError) -> pb.ExecutionReport:
    """The node does not take it."""
    return pb.ExecutionReport(
        execution_id=execution_id, refused=pb.ExecutionRefused(code=error.code, message=error.message)
    )
