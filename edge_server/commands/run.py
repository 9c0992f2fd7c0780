"""One command that is under way, in memory: what is known of each execution, and who watches.

It only keeps and tells; when something happens to an execution is decided by the dispatcher.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from edge_server.commands import convert
from edge_server.commands.domain import (
    CommandId,
    ExecutionId,
    Outcome,
    PaceDecision,
    PacedRow,
    PaceOptions,
    State,
    count_outcomes,
    decide,
)
from edge_server.commands.output import KeptOutput
from edge_server.commands.transition import StoredOutput
from edge_server.commands.watch import Delivery, Watcher
from edge_server.nodes.domain import NodeId
from edge_wire.credit import CreditWindow
from edge_wire.timestamps import to_timestamp
from edge_wire.v1 import command_pb2 as pb

STREAMS: dict[int, str] = {pb.OUTPUT_STREAM_STDOUT: "stdout", pb.OUTPUT_STREAM_STDERR: "stderr"}


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
    sent_at: datetime | None = None
    out_of_contact_since: float | None = None
    is_no_contact_told: bool = False
    credit: CreditWindow | None = None
    attached_epoch: int | None = None
    """Epoch of the session in which it was started or resumed."""
    outputs: dict[int, KeptOutput] = field(default_factory=lambda: {stream: KeptOutput() for stream in STREAMS})

    @property
    def is_under_way(self) -> bool:
        """Handed out and not over."""
        return self.state in {State.SENT, State.RUNNING}

    def stored_outputs(self) -> list[StoredOutput]:
        """What is kept of its output."""
        kept = {name: self.outputs[stream].trimmed() for stream, name in STREAMS.items()}
        return [
            StoredOutput(stream=name, head=head, tail=tail, tail_offset=offset)
            for name, (head, tail, offset) in kept.items()
            if head or tail
        ]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What the dispatcher needs of a command's options."""

    spec: pb.CommandSpec
    is_pacer: bool

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
        self._watchers: set[Watcher] = set()

    @property
    def is_over(self) -> bool:
        """Whether every end is in the database."""
        return all(execution.is_end_committed for execution in self.executions.values())

    def become_pacer(self) -> None:
        """This admin took the command over."""
        self.options = replace(self.options, is_pacer=True)

    def pace(self) -> PaceDecision:
        """What to start or withhold now."""
        rows = [PacedRow(id=execution.id, state=execution.state) for execution in self.executions.values()]
        fanout = convert.fanout(self.options.spec)
        return decide(rows, PaceOptions(fanout=fanout, is_cancelled=self.is_cancelled))

    def counts(self, visible: Collection[str]) -> pb.OutcomeCounts:
        """How many of these executions ended how."""
        outcomes = (execution.outcome for execution in self.executions.values() if execution.id in visible)
        return pb.OutcomeCounts(**count_outcomes(outcomes))

    def watch(self, cursors: Sequence[pb.ExecutionCursor]) -> Watcher:
        """A new watcher, told at once what is known from its cursors on."""
        watcher = Watcher(is_exact=self.options.spec.exact_output, clock=self._clock)
        by_id = {cursor.execution_id: cursor for cursor in cursors}
        for execution in self.executions.values():
            self._tell_what_is_known(watcher, execution, by_id.get(execution.id, pb.ExecutionCursor()))
        if self.is_over:
            watcher.finish(self._finished())
        else:
            self._watchers.add(watcher)
        return watcher

    def unwatch(self, watcher: Watcher) -> None:
        """A watcher is gone."""
        self._watchers.discard(watcher)
        watcher.close()

    def tell_state(self, execution: LiveExecution) -> None:
        """Tell watchers where an execution stands, or how it ended."""
        self._push(self._state_event(execution))

    def tell_contact(self, execution: LiveExecution, *, is_lost: bool) -> None:
        """Tell watchers that a session is gone or back."""
        event = self._event(execution)
        if is_lost:
            event.no_contact.SetInParent()
        else:
            event.contact.SetInParent()
        self._push(event)

    def take_output(self, execution: LiveExecution, chunk: pb.OutputChunk, delivered: Callable[[int], None]) -> None:
        """Keep a chunk and pass it on; `delivered` is called when every watcher took it."""
        fresh = execution.outputs[chunk.stream].add(chunk.offset, chunk.data)
        delivery = Delivery(len(chunk.data), delivered)
        if fresh:
            event = self._event(execution)
            start = chunk.offset + len(chunk.data) - len(fresh)
            event.output.CopyFrom(pb.OutputChunk(stream=chunk.stream, offset=start, data=fresh))
            for watcher in self._watchers:
                watcher.push_output(event, delivery)
        delivery.take()

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
        if execution.state is not State.ENDED:
            watcher.push(self._state_event(execution))
        for stream, offset in known.items():
            watcher.start_at(execution.id, stream, offset)
            for start, data in execution.outputs[stream].pieces(offset):
                event = self._event(execution)
                event.output.CopyFrom(pb.OutputChunk(stream=stream, offset=start, data=data))
                watcher.push_output(event, None)
        if execution.is_no_contact_told:
            event = self._event(execution)
            event.no_contact.SetInParent()
            watcher.push(event)
        if execution.end is not None:
            watcher.push(self._state_event(execution))

    def _finished(self) -> pb.CommandFinished:
        return pb.CommandFinished(counts=self.counts(self.executions))

    def _state_event(self, execution: LiveExecution) -> pb.CommandEvent:
        event = self._event(execution)
        if execution.end is not None:
            event.end.CopyFrom(execution.end)
        else:
            event.state = convert.STATES[execution.state]
        return event

    def _event(self, execution: LiveExecution) -> pb.CommandEvent:
        return pb.CommandEvent(execution_id=execution.id, time=to_timestamp(self._now()))

    def _push(self, event: pb.CommandEvent) -> None:
        for watcher in self._watchers:
            watcher.push(event)
