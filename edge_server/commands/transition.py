"""One step of one execution on its way to the database. Pure values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from edge_server.commands.domain import TRANSITIONS, CommandId, Event, ExecutionId, Outcome, State
from edge_wire.names import bounded
from edge_wire.timestamps import from_duration
from edge_wire.v1 import command_pb2 as pb


@dataclass(frozen=True, kw_only=True)
class StoredOutput:
    """What is kept of one stream when an execution is over."""

    stream: str
    head: bytes
    tail: bytes
    tail_offset: int


_TARGETS = {event: target for (_, event), target in TRANSITIONS.items()}


class Transition(NamedTuple):
    """One event with what it writes; the guard of its UPDATE is the table of transitions."""

    execution_id: ExecutionId
    command_id: CommandId
    event: Event
    values: Mapping[str, Any] = MappingProxyType({})
    outputs: Sequence[StoredOutput] = ()
    only_if: Mapping[str, Any] = MappingProxyType({})
    """Columns that must still have these values, besides the state."""

    @property
    def target(self) -> State:
        """The state that it leads to; the same from whichever state it may leave."""
        return _TARGETS[self.event]

    def is_end(self, outcome: Outcome | None, ended_at: datetime | None) -> bool:
        """Whether an end that is stored is the one that this transition writes."""
        is_same = self.values.get("outcome") == outcome and self.values.get("ended_at") == ended_at
        return self.target is State.ENDED and is_same

    @property
    def output_size(self) -> int:
        """Bytes of output that it stores."""
        return sum(len(output.head) + len(output.tail) for output in self.outputs)


def end_values(end: pb.ExecutionEnd, outcome: str, started: bool | None) -> dict[str, Any]:
    """The columns that an end fills."""
    return {
        "outcome": outcome,
        "started": started,
        "exit_code": end.exit_code if end.HasField("exit_code") else None,
        "signal": bounded(end.signal, 32),
        "duration_ms": round(from_duration(end.duration).total_seconds() * 1000) if end.HasField("duration") else None,
        "stdout_bytes": min(end.stdout_bytes, 2**62),
        "stderr_bytes": min(end.stderr_bytes, 2**62),
        "truncated": end.truncated,
        "output_held_open": end.output_held_open,
        "error_code": bounded(end.error_code, 64),
        "error_message": bounded(end.error_message, 500),
    }
