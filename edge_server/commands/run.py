"""One command that is under way, in memory: what is known of each execution, and who watches.

It only keeps and tells; when something happens to an execution is decided by the dispatcher.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from edge_server.commands import convert
from edge_server.commands.domain import CommandId, ExecutionId, Outcome, State, count_outcomes
from edge_server.commands.output import LARGEST_HALF, KeptOutput
from edge_server.commands.pacing import PaceDecision, PacedRow, StopReason, decide
from edge_server.commands.transition import StoredOutput
from edge_server.commands.watch import Delivery, Output, Watcher, WatchOptions
from edge_server.nodes.domain import NodeId
from edge_wire.credit import CreditWindow
from edge_wire.timestamps import from_duration, to_timestamp
from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import session_pb2 as session_pb

STREAMS: dict[pb.OutputStream.ValueType, str] = {pb.OUTPUT_STREAM_STDOUT: "stdout", pb.OUTPUT_STREAM_STDERR: "stderr"}


@dataclass
class LiveExecution:
    """What is known of one execution."""

    id: ExecutionId
    command_id: CommandId
    node_id: NodeId
    state: State = State.PENDING
    outcome: Outcome | None = None
    end: pb.ExecutionEnd | None = None
    is_end_committed: bool = False
    is_send_stored: bool = True
    """False while it is only in memory that it was handed out: the database may know better."""
    queued_at: datetime | None = None
    sent_at: datetime | None = None
    sent_epoch: int | None = None
    """Epoch of the session to which it was handed out last, as it is stored."""
    ended_at: datetime | None = None
    out_of_contact_since: float | None = None
    is_no_contact_told: bool = False
    credit: CreditWindow | None = None
    is_stop_told: bool = False
    """The node was told to end it, in the session that it has now."""
    attached_epoch: int | None = None
    """Epoch of the session in which it was started or resumed."""
    outputs: dict[pb.OutputStream.ValueType, KeptOutput] = field(default_factory=dict)
    """What is kept of each stream on which anything came; `output` makes the others."""
    output_half: int = LARGEST_HALF
    """How much of the head, and of the tail, of each stream is kept."""

    @property
    def is_under_way(self) -> bool:
        """Handed out and not over."""
        return self.state in {State.SENT, State.RUNNING}

    def output(self, stream: pb.OutputStream.ValueType) -> KeptOutput:
        """What is kept of one stream."""
        kept = self.outputs.get(stream)
        if kept is None:
            kept = self.outputs[stream] = KeptOutput()
            kept.limit_to(self.output_half)
        return kept

    def limit_output(self, half: int) -> None:
        """Keep at most so much of the head, and of the tail, of each stream."""
        self.output_half = half
        for kept in self.outputs.values():
            kept.limit_to(half)

    def stored_outputs(self) -> list[StoredOutput]:
        """What is kept of its output."""
        kept = {name: self.outputs[stream].trimmed() for stream, name in STREAMS.items() if stream in self.outputs}
        return [
            StoredOutput(stream=name, head=head, tail=tail, tail_offset=offset)
            for name, (head, tail, offset) in kept.items()
            if head or tail
        ]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What the dispatcher needs of a command's options."""

    spec: pb.CommandSpec = field(repr=False)
    is_pacer: bool
    created_at: datetime
    principal_id: str

    @property
    def contact_timeout(self) -> timedelta:
        """How long a session may be gone before watchers are told."""
        return convert.contact_timeout(self.spec)


class CommandRun:
    """One command that is under way."""

    def __init__(
        self,
        *,
        command_id: CommandId,
        options: RunOptions,
        executions: Iterable[LiveExecution],
        is_cancelled: bool,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        self.id = command_id
        self.options = options
        self.executions = {execution.id: execution for execution in executions}
        self.is_cancelled = is_cancelled
        self._now = now
        self._clock = clock
        self._open = sum(1 for execution in self.executions.values() if not execution.is_end_committed)
        self._unstored_ends: set[ExecutionId] = set()
        self._watchers: set[Watcher] = set()
        self._start: session_pb.StartExecution | None = None
        self._clock_at_creation = clock() - (now() - options.created_at).total_seconds()

    @property
    def is_over(self) -> bool:
        """Whether every end is in the database."""
        return self._open == 0

    @property
    def needs_pacing(self) -> bool:
        """Whether the pacer has anything left to decide: something is pending, or time alone may end what runs."""
        if self.options.spec.HasField("deadline"):
            return True
        return any(execution.state is State.PENDING for execution in self.executions.values())

    @property
    def has_heard_all(self) -> bool:
        """Whether nothing more is to be heard of it: every end is in the database or on its way there."""
        return len(self._unstored_ends) >= self._open

    def note_end(self, execution: LiveExecution) -> None:
        """The end of one of its executions is on its way to the database."""
        self._unstored_ends.add(execution.id)

    def take_back_end(self, execution: LiveExecution) -> None:
        """It was no end after all."""
        self._unstored_ends.discard(execution.id)

    def commit_end(self, execution: LiveExecution) -> None:
        """The end of one of its executions is in the database: tell it."""
        self._unstored_ends.discard(execution.id)
        if not execution.is_end_committed:
            execution.is_end_committed = True
            self._open -= 1
        self.tell_state(execution)

    def become_pacer(self) -> None:
        """This admin took the command over."""
        self.options = replace(self.options, is_pacer=True)

    def pace(self, is_reachable: Callable[[NodeId], bool]) -> PaceDecision:
        """What to start, withhold or expire now."""
        rows = [
            PacedRow(
                id=item.id,
                state=item.state,
                outcome=item.outcome,
                ended_at=item.ended_at,
                queued_at=item.queued_at,
                is_reachable=item.queued_at is None or is_reachable(item.node_id),
            )
            for item in self.executions.values()
        ]
        options = convert.pace_options(
            self.options.spec, created_at=self.options.created_at, is_cancelled=self.is_cancelled
        )
        return decide(rows, options, self.pacing_time())

    def pacing_time(self) -> datetime:
        """The time by which it is paced: its creation plus what the monotonic clock counted since."""
        return self.options.created_at + timedelta(seconds=self._clock() - self._clock_at_creation)

    def start_order(self, credit: int) -> session_pb.StartExecution:
        """What a node is told to start; the same message for all who get the same, and nobody changes it."""
        known = self._start
        if known is None or known.credit != credit or self.options.spec.HasField("terminal"):
            known = self._start = convert.start_order(self.options.spec, credit)
        return known

    @property
    def may_wait(self) -> bool:
        """Whether executions may wait for nodes that are away."""
        return self.options.spec.offline == pb.OFFLINE_POLICY_QUEUE

    @property
    def has_its_stdin(self) -> bool:
        """Whether what a program would read is here: it is brought to the admin that paces the command, if any."""
        return self.options.is_pacer or not self.options.spec.has_stdin

    @property
    def is_ending(self) -> bool:
        """Whether what runs is to be ended too."""
        spec = self.options.spec
        if self.is_cancelled or not spec.HasField("deadline"):
            return self.is_cancelled
        return self.pacing_time() >= self.options.created_at + from_duration(spec.deadline)

    @property
    def stop_reason(self) -> StopReason | None:
        """Why it was stopped, if it was."""
        codes = {item.end.error_code for item in self.executions.values() if item.end is not None}
        return convert.stop_reason(codes, is_cancelled=self.is_cancelled)

    def counts(self, visible: Collection[str]) -> pb.OutcomeCounts:
        """How many of these executions ended how."""
        outcomes = (execution.outcome for execution in self.executions.values() if execution.id in visible)
        return pb.OutcomeCounts(**count_outcomes(outcomes))

    def watch(self, cursors: Sequence[pb.ExecutionCursor], options: WatchOptions = WatchOptions()) -> Watcher:
        """A new watcher, told at once what is known from its cursors on."""
        watcher = Watcher(is_exact=self.options.spec.exact_output, clock=self._clock, options=options)
        by_id = {cursor.execution_id: cursor for cursor in cursors}
        for execution in self.executions.values():
            self._tell_what_is_known(watcher, execution, by_id.get(execution.id, pb.ExecutionCursor()))
        if self.is_over:
            watcher.finish(self._finished())
        elif options.follows:
            self._watchers.add(watcher)
        else:
            watcher.finish_here()
        return watcher

    def unwatch(self, watcher: Watcher) -> None:
        """A watcher is gone."""
        self._watchers.discard(watcher)
        watcher.close()

    def tell_state(self, execution: LiveExecution) -> None:
        """Tell watchers where an execution stands, or how it ended."""
        if self._watchers:
            self._push(self._state_event(execution), is_urgent=execution.end is not None)

    def tell_queued(self, execution: LiveExecution) -> None:
        """Tell watchers that an execution waits for its node."""
        self._push(self._queued_event(execution))

    def tell_contact(self, execution: LiveExecution, *, is_lost: bool) -> None:
        """Tell watchers that a session is gone or back."""
        event = self._event(execution)
        if is_lost:
            event.no_contact.SetInParent()
        else:
            event.contact.SetInParent()
        self._push(event)

    def read_output(self, execution: LiveExecution, chunk: pb.OutputChunk) -> Output:
        """A chunk that came, read once: each look at the bytes in a message copies them."""
        return self._output(execution, chunk.stream, chunk.offset, chunk.data)

    def take_output(self, execution: LiveExecution, output: Output, delivered: Callable[[int], None]) -> None:
        """Keep a chunk and pass it on; `delivered` is called when every watcher took it."""
        fresh = execution.output(output.stream).add(output.offset, output.data)
        delivery = Delivery(len(output.data), delivered)
        if fresh:
            rest = output if len(fresh) == len(output.data) else output.cut(output.end - len(fresh))
            for watcher in self._watchers:
                watcher.push_output(rest, delivery)
        delivery.take()

    def take_stored_output(self, execution: LiveExecution, stored: LiveExecution) -> None:
        """Take over what another admin stored of its output, as far as it is more than what is here, and pass it on."""
        for stream, kept in stored.outputs.items():
            known = execution.output(stream).end
            if kept.end <= known:
                continue
            execution.outputs[stream] = kept
            for start, data in kept.pieces(known):
                output = self._output(execution, stream, start, data)
                for watcher in self._watchers:
                    watcher.push_output(output, None)

    def finish_if_over(self) -> bool:
        """Tell watchers the last word when every end is in the database."""
        if not self.is_over:
            return False
        for watcher in self._watchers:
            watcher.finish(self._finished())
        self._watchers.clear()
        return True

    def fail_watchers(self, failure: Exception) -> None:
        """Let every watcher go: it may come back with its cursors."""
        for watcher in self._watchers:
            watcher.fail(failure)
        self._watchers.clear()

    def shed_stalled_watchers(self) -> None:
        """Pass over watchers that take nothing."""
        for watcher in self._watchers:
            watcher.shed_if_stalled()

    def _tell_what_is_known(self, watcher: Watcher, execution: LiveExecution, cursor: pb.ExecutionCursor) -> None:
        if cursor.ended:
            return
        known = {pb.OUTPUT_STREAM_STDOUT: cursor.stdout_offset, pb.OUTPUT_STREAM_STDERR: cursor.stderr_offset}
        if not execution.is_end_committed and execution.state is not State.ENDED:
            watcher.push(self._state_event(execution))
        if execution.state is State.PENDING and execution.queued_at is not None:
            watcher.push(self._queued_event(execution))
        for stream, offset in known.items():
            if offset:
                watcher.start_at(execution.id, stream, offset)
            kept = execution.outputs.get(stream)
            for start, data in kept.pieces(offset) if kept is not None else ():
                watcher.push_output(self._output(execution, stream, start, data), None)
        if execution.is_no_contact_told:
            event = self._event(execution)
            event.no_contact.SetInParent()
            watcher.push(event)
        if execution.is_end_committed:
            watcher.push(self._state_event(execution))

    def _finished(self) -> pb.CommandFinished:
        return pb.CommandFinished(
            counts=self.counts(self.executions), stop_reason=convert.STOP_REASONS[self.stop_reason]
        )

    def _state_event(self, execution: LiveExecution) -> pb.CommandEvent:
        event = self._event(execution)
        if execution.end is not None:
            event.end.CopyFrom(execution.end)
        else:
            event.state = convert.STATES[execution.state]
        return event

    def _queued_event(self, execution: LiveExecution) -> pb.CommandEvent:
        event = self._event(execution)
        event.queued.SetInParent()
        return event

    def _event(self, execution: LiveExecution) -> pb.CommandEvent:
        return pb.CommandEvent(execution_id=execution.id, time=to_timestamp(self._now()))

    def _output(self, execution: LiveExecution, stream: pb.OutputStream.ValueType, offset: int, data: bytes) -> Output:
        time = to_timestamp(self._now())
        return Output(execution_id=execution.id, time=time, stream=stream, offset=offset, data=data)

    def _push(self, event: pb.CommandEvent, *, is_urgent: bool = True) -> None:
        for watcher in self._watchers:
            watcher.push(event, is_urgent=is_urgent)
