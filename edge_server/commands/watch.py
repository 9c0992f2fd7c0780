"""One watcher of one command: what it has not taken yet, in bounded memory.

Output that a watcher has not taken holds back credit, so a slow watcher slows the flow. One that takes nothing for
`STALL_SECONDS` is passed over: it gets gaps instead of output, unless the command asked for exact output.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from google.protobuf.timestamp_pb2 import Timestamp

from edge_wire.lazy_timer import LazyTimer
from edge_wire.v1 import command_pb2 as pb

STALL_SECONDS = 5.0
_COMPANY_SECONDS = 0.05
"""How long an event that nobody waits for does: a message for each of a thousand costs more than what it says."""
_BATCH_EVENTS = 1024
_BATCH_BYTES = 512 * 1024

Stream = tuple[str, int]
"""Execution id and output stream."""


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """What a watcher wants to be told."""

    follows: bool = True
    """Until the command is over; otherwise what is known now."""
    has_output: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """Bytes of one stream. They become part of a message when it is sent: each message in a message copies them."""

    execution_id: str
    time: Timestamp | None = None
    stream: pb.OutputStream.ValueType
    offset: int
    data: bytes

    @property
    def end(self) -> int:
        """Offset of the byte behind them."""
        return self.offset + len(self.data)

    def cut(self, offset: int) -> Output:
        """What is left of them from an offset on."""
        return replace(self, offset=offset, data=self.data[offset - self.offset :])

    def write_to(self, event: pb.CommandEvent) -> None:
        """Say it in an empty event."""
        event.execution_id = self.execution_id
        if self.time is not None:
            event.time.CopyFrom(self.time)
        chunk = event.output
        chunk.stream, chunk.offset, chunk.data = self.stream, self.offset, self.data


class Delivery:
    """One chunk on its way to all watchers; calls back when the last one took it."""

    def __init__(self, size: int, delivered: Callable[[int], None]) -> None:
        self.size = size
        self._delivered = delivered
        self._takers = 1

    def share(self) -> None:
        """One more watcher will take it."""
        self._takers += 1

    def take(self) -> None:
        """One watcher took it or gave it up."""
        self._takers -= 1
        if self._takers == 0:
            self._delivered(self.size)


@dataclass
class _Item:
    told: pb.CommandEvent | Output
    delivery: Delivery | None = None


@dataclass(eq=False)
class Watcher:
    """What one watcher still has to be told."""

    is_exact: bool
    clock: Callable[[], float]
    options: WatchOptions = WatchOptions()
    _items: deque[_Item] = field(default_factory=deque)
    _offsets: dict[Stream, int] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _finished: pb.CommandFinished | None = None
    _failure: Exception | None = None
    _is_up_to_date: bool = False
    _is_closed: bool = False
    _progress_at: float = 0.0
    _stdin_offset: int | None = None

    def __post_init__(self) -> None:
        self._progress_at = self.clock()
        self._company_timer = LazyTimer(self._wake.set)

    def start_at(self, execution_id: str, stream: int, offset: int) -> None:
        """Bytes before this offset are known to the watcher."""
        self._offsets[execution_id, stream] = offset

    def push(self, event: pb.CommandEvent, *, is_urgent: bool = True) -> None:
        """Tell it something that is not output; what is not urgent waits a moment for company."""
        if event.WhichOneof("event") == "end" and self.options.has_output:
            self._fill_to(event, pb.OUTPUT_STREAM_STDOUT, event.end.stdout_bytes)
            self._fill_to(event, pb.OUTPUT_STREAM_STDERR, event.end.stderr_bytes)
        self._put(_Item(event), is_urgent=is_urgent)

    def push_output(self, output: Output, delivery: Delivery | None) -> None:
        """Give it a chunk; what it knows already is left out, what is missing before it becomes a gap."""
        key = (output.execution_id, output.stream)
        expected = self._offsets.get(key, 0)
        if output.end <= expected or not self.options.has_output or self._passes_over():
            return
        if output.offset > expected:
            self._put(_Item(_gap(output, output.stream, expected, output.offset)))
        elif output.offset < expected:
            output = output.cut(expected)
        self._offsets[key] = output.end
        if delivery is not None:
            delivery.share()
        self._put(_Item(output, delivery))

    def finish(self, finished: pb.CommandFinished) -> None:
        """Nothing follows."""
        self._finished = finished
        self._wake.set()

    def finish_here(self) -> None:
        """Nothing follows, although the command goes on."""
        self._is_up_to_date = True
        self._wake.set()

    def fail(self, failure: Exception) -> None:
        """Nothing follows, and not because the command is over."""
        self._failure = failure
        self._wake.set()

    def note_stdin(self, offset: int) -> None:
        """So much of stdin may be forgotten by whoever brings it."""
        self._stdin_offset = offset
        self._wake.set()

    def take_stdin(self) -> int | None:
        """What was noted since the last time."""
        offset, self._stdin_offset = self._stdin_offset, None
        return offset

    async def next_batch(self) -> pb.ExecResponse | None:
        """What to send next in its `watch`, empty when only stdin was noted; None after the last word.

        Raises what `fail` was given.
        """
        while True:
            if self._items:
                return self._take()
            if self._failure is not None:
                raise self._failure
            if self._stdin_offset is not None and not self._is_closed:
                return pb.ExecResponse(watch=pb.WatchCommandResponse())
            if self._is_closed:
                return None
            if self._is_up_to_date:
                self._is_closed = True
                return pb.ExecResponse(watch=pb.WatchCommandResponse(up_to_date=True))
            if self._finished is not None:
                finished, self._is_closed = self._finished, True
                return pb.ExecResponse(watch=pb.WatchCommandResponse(finished=finished))
            self._wake.clear()
            await self._wake.wait()

    def close(self) -> None:
        """The watcher is gone; what it did not take holds back nothing."""
        self._is_closed = True
        self._company_timer.cancel()
        self._release(list(self._items))
        self._items.clear()

    def shed_if_stalled(self) -> None:
        """Give up the output of a watcher that takes nothing."""
        if not self._passes_over():
            return
        kept: deque[_Item] = deque()
        gaps: dict[Stream, pb.OutputGap] = {}
        for item in self._items:
            missing = _missing(item.told)
            if missing is None:
                kept.append(item)
                continue
            known = gaps.get((item.told.execution_id, missing.stream))
            if known is not None:
                known.to_offset = missing.to_offset  # a stream's pieces follow each other without a hole
                continue
            event = _gap(item.told, missing.stream, missing.from_offset, missing.to_offset)
            gaps[item.told.execution_id, missing.stream] = event.gap
            kept.append(_Item(event))
        given_up, self._items = list(self._items), kept
        self._release(given_up)

    def _passes_over(self) -> bool:
        return not self.is_exact and bool(self._items) and self.clock() - self._progress_at > STALL_SECONDS

    def _take(self) -> pb.ExecResponse:
        self._progress_at = self.clock()
        response = pb.ExecResponse()
        events = response.watch.events
        size = 0
        taken: list[_Item] = []
        while self._items and len(taken) < _BATCH_EVENTS and size < _BATCH_BYTES:
            item = self._items.popleft()
            taken.append(item)
            if isinstance(item.told, Output):
                item.told.write_to(events.add())
                size += len(item.told.data)
            else:
                events.append(item.told)
        self._release(taken)
        return response

    def _release(self, items: list[_Item]) -> None:
        for item in items:
            if item.delivery is not None:
                item.delivery.take()

    def _fill_to(self, end: pb.CommandEvent, stream: pb.OutputStream.ValueType, total: int) -> None:
        expected = self._offsets.get((end.execution_id, stream), 0)
        if expected < total:
            self._put(_Item(_gap(end, stream, expected, total)))
            self._offsets[end.execution_id, stream] = total

    def _put(self, item: _Item, *, is_urgent: bool = True) -> None:
        if not self._items:
            self._progress_at = self.clock()
        self._items.append(item)
        if is_urgent:
            self._wake.set()
        elif not self._wake.is_set():
            self._company_timer.within(_COMPANY_SECONDS)


def _missing(told: pb.CommandEvent | Output) -> pb.OutputGap | None:
    """The bytes that are missing when this output is given up; None when it is not about output."""
    if isinstance(told, Output):
        return pb.OutputGap(stream=told.stream, from_offset=told.offset, to_offset=told.end)
    return told.gap if told.HasField("gap") else None


def _gap(like: pb.CommandEvent | Output, stream: pb.OutputStream.ValueType, start: int, end: int) -> pb.CommandEvent:
    gap = pb.OutputGap(stream=stream, from_offset=start, to_offset=end)
    return pb.CommandEvent(execution_id=like.execution_id, time=like.time, gap=gap)
