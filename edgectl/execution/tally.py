"""What has been received of one command: where each execution stands, and which bytes are new. No I/O.

A repeated stream starts from `cursors()`; bytes that come twice are cut off, and bytes that are missing without the
admin saying so become a gap, so that nothing downstream can mistake a hole for the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from edge_wire.errors import Internal
from edge_wire.v1 import command_pb2 as pb
from edgectl import shapes

OUTCOMES = (
    "ok",
    "failed",
    "timed_out",
    "cancelled",
    "offline",
    "no_contact",
    "not_started",
    "expired",
    "dropped",
    "lost",
)
"""Every outcome, in the order of tables and counts."""


@dataclass(frozen=True)
class Happening:
    """One event with the target that it is about."""

    target: pb.Target
    event: pb.CommandEvent


@dataclass
class Standing:
    """Where one execution stands."""

    target: pb.Target
    state: pb.ExecutionState.ValueType = pb.EXECUTION_STATE_PENDING
    end: pb.ExecutionEnd | None = None
    is_queued: bool = False
    """It waits for its node."""
    has_contact: bool = True
    has_gap: bool = False
    offsets: dict[int, int] = field(default_factory=dict)
    """Bytes received, by output stream."""

    @property
    def outcome(self) -> str | None:
        """The word for how it ended as far as is known; None while it goes on."""
        if self.end is not None:
            return shapes.outcome_word(self.end.outcome)
        return None if self.has_contact else "no_contact"


class Tally:
    """What has been received of one command."""

    def __init__(self) -> None:
        self.command_id = ""
        self.standings: dict[str, Standing] = {}
        self.is_finished = False
        self.stop_reason: str | None = None
        """Why the command was stopped, once it is over and if it was."""

    @property
    def is_accepted(self) -> bool:
        """Whether the command is known to be durable."""
        return bool(self.command_id)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left that a foreground wait could learn soon: each ended or is out of contact."""
        return self.is_accepted and all(item.outcome for item in self.standings.values())

    @property
    def has_every_end(self) -> bool:
        """Whether each execution's end was received."""
        return all(item.end is not None for item in self.standings.values())

    def take(self, response: pb.WatchCommandResponse) -> list[Happening]:
        """Take in one response; returns what is new. Raises Internal when it makes no sense."""
        if response.HasField("accepted"):
            self._accept(response.accepted)
        happenings = [happening for event in response.events for happening in self._take_event(event)]
        if response.HasField("finished"):
            self.is_finished = True
            self.stop_reason = shapes.stop_reason(response.finished.stop_reason)
        return happenings

    def cursors(self) -> list[pb.ExecutionCursor]:
        """From where a repeated stream has to go on."""
        return [
            pb.ExecutionCursor(
                execution_id=execution_id,
                stdout_offset=item.offsets.get(pb.OUTPUT_STREAM_STDOUT, 0),
                stderr_offset=item.offsets.get(pb.OUTPUT_STREAM_STDERR, 0),
                ended=item.end is not None,
            )
            for execution_id, item in self.standings.items()
        ]

    def counts(self) -> dict[str, int]:
        """How many ended how, and `total`."""
        found = dict.fromkeys(("total", *OUTCOMES), 0)
        found["total"] = len(self.standings)
        for item in self.standings.values():
            if item.outcome:
                found[item.outcome] += 1
        return found

    def open_standings(self) -> list[Standing]:
        """Those that go on."""
        return [item for item in self.standings.values() if item.end is None]

    def _accept(self, accepted: pb.CreateCommandResponse) -> None:
        if self.command_id and self.command_id != accepted.command_id:
            raise Internal("the admin answered a repeated request with another command")
        self.command_id = accepted.command_id
        for target in accepted.targets:
            self.standings.setdefault(target.execution_id, Standing(target))

    def _take_event(self, event: pb.CommandEvent) -> Iterable[Happening]:
        item = self.standings.get(event.execution_id)
        if item is None:
            raise Internal("the admin spoke of an execution that is not part of this command")
        if item.end is not None:
            return []
        return [Happening(item.target, news) for news in _apply(item, event)]


def _apply(item: Standing, event: pb.CommandEvent) -> Sequence[pb.CommandEvent]:
    kind = event.WhichOneof("event")
    if kind == "output":
        return _apply_output(item, event)
    if kind == "gap":
        return _apply_gap(item, event)
    if kind == "end":
        return _apply_end(item, event)
    if kind == "state":
        if event.state <= item.state:
            return []
        item.state = event.state
    elif kind == "queued":
        item.is_queued = True
    elif kind in {"no_contact", "contact"}:
        item.has_contact = kind == "contact"
    return [event]


def _apply_output(item: Standing, event: pb.CommandEvent) -> Sequence[pb.CommandEvent]:
    chunk = event.output
    known = item.offsets.get(chunk.stream, 0)
    after = chunk.offset + len(chunk.data)
    if after <= known:
        return []
    if chunk.offset > known:
        gap = _skip(item, event, chunk.stream, chunk.offset)
        item.offsets[chunk.stream] = after
        return [gap, event]
    item.offsets[chunk.stream] = after
    if chunk.offset < known:
        rest = pb.OutputChunk(stream=chunk.stream, offset=known, data=chunk.data[known - chunk.offset :])
        return [pb.CommandEvent(execution_id=event.execution_id, time=event.time, output=rest)]
    return [event]


def _apply_gap(item: Standing, event: pb.CommandEvent) -> Sequence[pb.CommandEvent]:
    gap = event.gap
    known = item.offsets.get(gap.stream, 0)
    if gap.to_offset <= known:
        return []
    return [_skip(item, event, gap.stream, gap.to_offset)]


def _apply_end(item: Standing, event: pb.CommandEvent) -> Sequence[pb.CommandEvent]:
    end = event.end
    item.end = end
    item.state = pb.EXECUTION_STATE_ENDED
    written = ((pb.OUTPUT_STREAM_STDOUT, end.stdout_bytes), (pb.OUTPUT_STREAM_STDERR, end.stderr_bytes))
    missing = [(stream, size) for stream, size in written if size > item.offsets.get(stream, 0)]
    return [*(_skip(item, event, stream, size) for stream, size in missing), event]


def _skip(item: Standing, event: pb.CommandEvent, stream: pb.OutputStream.ValueType, to_offset: int) -> pb.CommandEvent:
    """The gap from what was received on."""
    gap = pb.OutputGap(stream=stream, from_offset=item.offsets.get(stream, 0), to_offset=to_offset)
    item.offsets[stream] = to_offset
    item.has_gap = True
    return pb.CommandEvent(execution_id=event.execution_id, time=event.time, gap=gap)
