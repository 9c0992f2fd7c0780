"""Events of a command in short, and watchers whose clock stands still, for tests of watching."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge_server.commands.watch import Output, Watcher
from edge_wire.v1 import command_pb2 as pb

STDOUT, STDERR = pb.OUTPUT_STREAM_STDOUT, pb.OUTPUT_STREAM_STDERR
Told = tuple[object, ...]


class Stopwatch:
    """Monotonic seconds that only pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def output(offset: int, data: bytes, *, stream: pb.OutputStream.ValueType = STDOUT, of: str = "e1") -> Output:
    """A chunk of output."""
    return Output(execution_id=of, stream=stream, offset=offset, data=data)


def running(of: str = "e1") -> pb.CommandEvent:
    """A process that runs."""
    return pb.CommandEvent(execution_id=of, state=pb.EXECUTION_STATE_RUNNING)


def end(*, stdout: int = 0, stderr: int = 0, of: str = "e1") -> pb.CommandEvent:
    """An end, with how much was written."""
    ended = pb.ExecutionEnd(outcome=pb.OUTCOME_OK, stdout_bytes=stdout, stderr_bytes=stderr)
    return pb.CommandEvent(execution_id=of, end=ended)


def in_short(events: Iterable[pb.CommandEvent]) -> list[Told]:
    """Output as (offset, bytes), a gap as ('gap', from, to), anything else as (kind, execution)."""
    told: list[Told] = []
    for event in events:
        if event.HasField("output"):
            told.append((event.output.offset, event.output.data))
        elif event.HasField("gap"):
            told.append(("gap", event.gap.from_offset, event.gap.to_offset))
        else:
            told.append((event.WhichOneof("event"), event.execution_id))
    return told


async def batches(watcher: Watcher) -> list[Sequence[pb.CommandEvent]]:
    """Everything that it is told until the last word."""
    watcher.finish(pb.CommandFinished())
    taken: list[Sequence[pb.CommandEvent]] = []
    while (response := await watcher.next_batch()) is not None and not response.watch.HasField("finished"):
        taken.append(response.watch.events)
    return taken


async def all_told(watcher: Watcher) -> list[Told]:
    """As `batches`, in short."""
    return [told for batch in await batches(watcher) for told in in_short(batch)]


def a_watcher(clock: Stopwatch | None = None, *, is_exact: bool = False) -> Watcher:
    """A watcher whose clock stands still unless one is given."""
    return Watcher(is_exact=is_exact, clock=clock or Stopwatch())
