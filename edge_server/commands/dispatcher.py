"""Everything that happens to executions that are under way: starting them in sessions, taking what nodes report,
telling watchers, and having the recorder store it. Runs on the event loop; only the recorder and loads touch the
database.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from edge_server.commands import convert
from edge_server.commands.domain import CommandId, Event, ExecutionId, Outcome, State
from edge_server.commands.pacing import StopReason
from edge_server.commands.recorder import Recorder
from edge_server.commands.run import STREAMS, CommandRun, LiveExecution
from edge_server.commands.stdin_feed import StdinFeed
from edge_server.commands.stdin_spool import Spools
from edge_server.commands.transition import StoredOutput, Transition, end_values
from edge_server.nodes.domain import NodeId
from edge_server.sessions.registry import SessionRegistry
from edge_server.sessions.session import NodeSession
from edge_wire.credit import INITIAL_WINDOW, LARGEST_WINDOW, CreditWindow
from edge_wire.errors import EdgeError
from edge_wire.names import printable
from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import session_pb2 as session_pb

log = logging.getLogger(__name__)

OUTPUT_BUDGET = 256 * 1024 * 1024
"""Bytes of output that all executions together may have under way."""
_TIMER_SLACK = 0.002
"""Seconds added to a timer, so that its moment has come for certain when it fires."""
_OFFSET_LIMIT = 2**62
"""No process writes as much; a node that says so is not believed."""


class Dispatcher:
    """The commands that are under way on this admin."""

    def __init__(
        self,
        *,
        registry: SessionRegistry,
        recorder: Recorder,
        spools: Spools,
        reconnect_grace: timedelta,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._recorder = recorder
        self._spools = spools
        self._now = now
        self._clock = clock
        self._grace_until = clock() + reconnect_grace.total_seconds()
        self._is_in_grace = True
        self._is_stopping = False
        self._runs: dict[CommandId, CommandRun] = {}
        self._due: dict[CommandId, CommandRun] = {}
        self._feeds: dict[CommandId, StdinFeed] = {}
        self._timers: dict[CommandId, asyncio.TimerHandle] = {}
        self._by_id: dict[ExecutionId, LiveExecution] = {}
        self._by_node: dict[NodeId, dict[ExecutionId, LiveExecution]] = defaultdict(dict)

    # --- runs ----------------------------------------------------------------------------------------------------

    def runs(self) -> Iterator[CommandRun]:
        """Every command under way."""
        return iter(list(self._runs.values()))

    def find_run(self, command_id: CommandId) -> CommandRun | None:
        """One command under way."""
        return self._runs.get(command_id)

    def find_execution(self, execution_id: ExecutionId) -> LiveExecution | None:
        """One execution of a command under way."""
        return self._by_id.get(execution_id)

    def count_under_way(self) -> int:
        """Executions that were handed out and are not over."""
        return sum(1 for execution in self._by_id.values() if execution.is_under_way)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under way and every end that was heard of is in the database and told to watchers."""
        return all(
            not execution.is_under_way and (execution.state is not State.ENDED or execution.is_end_committed)
            for execution in self._by_id.values()
        )

    def adopt(self, run: CommandRun) -> CommandRun:
        """Take a command in and start what may start; the one that is there already wins."""
        if run.is_over:
            return run
        known = self._runs.setdefault(run.id, run)
        if known is run:
            self._open_feed(run)
            for execution in run.executions.values():
                self._by_id[execution.id] = execution
                if not execution.is_end_committed:
                    self._by_node[execution.node_id][execution.id] = execution
            self.pump(run)
        return known

    def find_feed(self, command_id: CommandId) -> StdinFeed | None:
        """What brings stdin to a command under way, when it has one."""
        return self._feeds.get(command_id)

    def resize(self, run: CommandRun, terminal: pb.Terminal) -> None:
        """Tell the node that its terminal has another size."""
        run.options.spec.terminal.columns, run.options.spec.terminal.rows = terminal.columns, terminal.rows
        for execution in run.executions.values():
            self._order(execution.node_id, session_pb.ExecutionOrder(execution_id=execution.id, resize=terminal))

    def pump(self, run: CommandRun) -> None:
        """Do what the pacer says, until it says nothing more."""
        while run.options.is_pacer and not self._is_stopping and not run.is_over:
            decision = run.pace(self._is_reachable)
            code = decision.stop_reason.value if decision.stop_reason is not None else ""
            for execution_id in decision.withhold:
                self.conclude(
                    run.executions[execution_id], Event.WITHHOLD, Outcome.NOT_STARTED, started=False, error_code=code
                )
            for execution_id in decision.expire:
                self.conclude(run.executions[execution_id], Event.EXPIRE, Outcome.EXPIRED, started=False)
            if decision.stop_reason is StopReason.DEADLINE:
                self._stop_all(run)
            started = [execution_id for execution_id in decision.start if self._start(run.executions[execution_id])]
            if not started:
                self._pump_again(run, decision.again_at)
                return

    def pump_node(self, node_id: NodeId) -> None:
        """A node is there: hand out what waits for it, the oldest command first."""
        commands = {execution.command_id for execution in self._by_node.get(node_id, {}).values()}
        for run in sorted((self._runs[command] for command in commands), key=lambda run: run.options.created_at):
            self.pump(run)

    def _pump_soon(self, run: CommandRun) -> None:
        """Pump once for all ends that were stored together."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._pump_due)
        self._due[run.id] = run

    def _pump_due(self) -> None:
        due, self._due = self._due, {}
        for run in due.values():
            self.pump(run)

    def _pump_again(self, run: CommandRun, at: datetime | None) -> None:
        """Pump when time alone changes something."""
        timer = self._timers.pop(run.id, None)
        if timer is not None:
            timer.cancel()
        if at is not None:
            wait = max(0.0, (at - run.pacing_time()).total_seconds())
            self._timers[run.id] = asyncio.get_running_loop().call_later(wait + _TIMER_SLACK, self.pump, run)

    def _is_reachable(self, node_id: NodeId) -> bool:
        return self._registry.find(node_id) is not None

    def _stop_all(self, run: CommandRun) -> None:
        for execution in run.executions.values():
            if execution.is_under_way and not execution.is_stop_told:
                self.stop_execution(run, execution)

    def cancel(self, run: CommandRun) -> None:
        """End what runs and start nothing more; nodes that are away are told when they come back."""
        run.is_cancelled = True
        self.pump(run)
        self._stop_all(run)

    def stop_execution(self, run: CommandRun, execution: LiveExecution) -> None:
        """Tell the node to end it, if the node is there."""
        execution.is_stop_told = self._is_reachable(execution.node_id)
        order = session_pb.ExecutionOrder(execution_id=execution.id)
        order.stop.kill_after.FromTimedelta(convert.kill_after(run.options.spec))
        self._order(execution.node_id, order)

    def conclude(
        self,
        execution: LiveExecution,
        event: Event,
        outcome: Outcome,
        *,
        started: bool | None,
        error_code: str = "",
        error_message: str = "",
    ) -> None:
        """End an execution on the admin's own account."""
        end = convert.end_of(outcome, started=started, error_code=error_code, error_message=error_message)
        self._end(execution, event, end, outcome, started)

    def note_stored_end(self, execution: LiveExecution, end: pb.ExecutionEnd, outcome: Outcome) -> None:
        """Take over an end that somebody else stored."""
        if execution.is_end_committed:
            return
        run = self._runs[execution.command_id]
        execution.state, execution.outcome, execution.end = State.ENDED, outcome, end
        run.tell_state(execution)
        self._committed(execution)
        self.pump(run)

    # --- sessions ------------------------------------------------------------------------------------------------

    def lose_contact(self, node_id: NodeId) -> None:
        """The node's session is gone: what it has goes on, unseen."""
        for execution in self._by_node.get(node_id, {}).values():
            execution.credit = None
            execution.attached_epoch = None
            execution.is_stop_told = False
            self._detach_stdin(execution)
            if execution.is_under_way and execution.out_of_contact_since is None:
                execution.out_of_contact_since = self._clock()

    def send_start(self, execution: LiveExecution) -> bool:
        """Order the start over the node's session; False when it has none."""
        session = self._registry.find(execution.node_id)
        if session is None:
            return False
        run = self._runs[execution.command_id]
        credit = self._attach(execution, session)
        start = convert.start_order(run.options.spec, credit)
        session.order(session_pb.ExecutionOrder(execution_id=execution.id, start=start))
        if run.is_ending:
            self.stop_execution(run, execution)
        return True

    def send_resume(self, execution: LiveExecution, session: NodeSession) -> None:
        """Order the node to report it again, from where this admin stands."""
        run = self._runs[execution.command_id]
        credit = self._attach(execution, session)
        resume = session_pb.ResumeExecution(
            stdout_offset=execution.outputs[pb.OUTPUT_STREAM_STDOUT].end,
            stderr_offset=execution.outputs[pb.OUTPUT_STREAM_STDERR].end,
            credit=credit,
        )
        session.order(session_pb.ExecutionOrder(execution_id=execution.id, resume=resume))
        self._regain_contact(run, execution)
        if run.is_ending:
            self.stop_execution(run, execution)

    def report(self, session: NodeSession, report: session_pb.ExecutionReport) -> None:
        """Take one report of a node about one of its own executions."""
        execution = self._by_id.get(ExecutionId(report.execution_id))
        if execution is None or execution.node_id != session.node.id:
            self._answer_unknown(session, report)
            return
        if execution.attached_epoch != session.epoch:
            return  # said before it was asked, or after the node was deleted: what counts is reported again
        kind = report.WhichOneof("report")
        if kind == "started":
            self._take_started(execution)
        elif kind == "output":
            self._take_output(session, execution, report.output)
        elif kind == "gap" and report.gap.stream in STREAMS and report.gap.to_offset <= _OFFSET_LIMIT:
            execution.outputs[report.gap.stream].skip_to(report.gap.to_offset)
        elif kind == "end":
            self._take_end(execution, report.end)
        elif kind == "stdin_wanted":
            feed = self._feeds.get(execution.command_id)
            if feed is not None:
                feed.wanted(execution.id, report.stdin_wanted)
        elif kind == "refused":
            message = printable(report.refused.message)
            self.conclude(
                execution,
                Event.REPORT,
                Outcome.FAILED,
                started=False,
                error_code=report.refused.code,
                error_message=message,
            )

    async def tick(self) -> None:
        """What time alone changes: contact time-outs, stalled watchers, the end of the grace after a start."""
        now = self._clock()
        if self._is_in_grace and now >= self._grace_until:
            self._is_in_grace = False
            for run in self.runs():
                self.pump(run)
        for run in self.runs():
            run.shed_stalled_watchers()
            timeout = run.options.contact_timeout.total_seconds()
            for execution in run.executions.values():
                since = execution.out_of_contact_since
                if since is not None and not execution.is_no_contact_told and now - since >= timeout:
                    execution.is_no_contact_told = True
                    run.tell_contact(execution, is_lost=True)

    def stop(self, failure: EdgeError) -> None:
        """Hand out nothing more and let every watcher go: sessions end now, and a node without one is not offline."""
        self._is_stopping = True
        for timer in self._timers.values():
            timer.cancel()
        for feed in self._feeds.values():
            feed.close()
        for run in self.runs():
            run.fail_watchers(failure)

    # --- inside --------------------------------------------------------------------------------------------------

    def _start(self, execution: LiveExecution) -> bool:
        """Hand one execution out, or find its node offline; False when the node may still come back."""
        if self._registry.find(execution.node_id) is None:
            if self._is_in_grace:
                return False
            self._find_away(execution)
            return True
        execution.state, execution.sent_at, execution.is_send_stored = State.SENT, self._now(), False
        transition = Transition(
            execution_id=execution.id,
            command_id=execution.command_id,
            event=Event.SEND,
            values={"sent_at": execution.sent_at},
        )
        # Stored before it is sent: a row that says pending proves that no node has it.
        self._recorder.submit(transition, partial(self._send_committed, execution))
        return True

    def _send_committed(self, execution: LiveExecution, is_sent: bool) -> None:
        if execution.state is not State.SENT or not is_sent:
            return
        execution.is_send_stored = True
        if self.send_start(execution) or self._is_stopping:
            return
        if self._runs[execution.command_id].options.spec.offline != pb.OFFLINE_POLICY_QUEUE:
            self._find_offline(execution)  # else it is sent again when the node is back

    def _find_away(self, execution: LiveExecution) -> None:
        """Its turn has come and its node has no session: it waits, or that is its end."""
        run = self._runs[execution.command_id]
        if run.options.spec.offline != pb.OFFLINE_POLICY_QUEUE:
            self._find_offline(execution)
            return
        execution.queued_at = self._now()
        run.tell_queued(execution)
        transition = Transition(
            execution_id=execution.id,
            command_id=execution.command_id,
            event=Event.QUEUE,
            values={"queued_at": execution.queued_at},
        )
        self._recorder.submit(transition, lambda _: None)

    def _find_offline(self, execution: LiveExecution) -> None:
        self.conclude(execution, Event.FIND_OFFLINE, Outcome.OFFLINE, started=False, error_code="node_offline")

    def _attach(self, execution: LiveExecution, session: NodeSession) -> int:
        """Bind an execution to a session with fresh credit; returns the first grant."""
        largest = max(INITIAL_WINDOW, min(LARGEST_WINDOW, OUTPUT_BUDGET // max(1, len(self._by_id))))
        execution.credit = CreditWindow(largest=largest)
        execution.attached_epoch = session.epoch
        self._detach_stdin(execution)
        return execution.credit.granted

    def _regain_contact(self, run: CommandRun, execution: LiveExecution) -> None:
        execution.out_of_contact_since = None
        if execution.is_no_contact_told:
            execution.is_no_contact_told = False
            run.tell_contact(execution, is_lost=False)

    def _take_started(self, execution: LiveExecution) -> None:
        if execution.state not in {State.PENDING, State.SENT}:
            return
        execution.state = State.RUNNING
        self._runs[execution.command_id].tell_state(execution)
        transition = Transition(
            execution_id=execution.id,
            command_id=execution.command_id,
            event=Event.START,
            values={"started_at": self._now()},
        )
        self._recorder.submit(transition, lambda _: None)

    def _take_output(self, session: NodeSession, execution: LiveExecution, chunk: pb.OutputChunk) -> None:
        credit = execution.credit
        if credit is None or chunk.stream not in STREAMS:
            return
        credit.receive(len(chunk.data))
        if credit.is_overrun:
            session.say_goodbye("credit_exceeded", "more output was sent than was granted")
            return
        if chunk.offset > _OFFSET_LIMIT:
            return
        run = self._runs[execution.command_id]
        run.take_output(execution, chunk, partial(self._delivered, execution, credit))

    def _delivered(self, execution: LiveExecution, credit: CreditWindow, size: int) -> None:
        if execution.credit is not credit:
            return
        total = credit.drain(size)
        if total is not None:
            grant = session_pb.GrantCredit(total=total)
            self._order(execution.node_id, session_pb.ExecutionOrder(execution_id=execution.id, credit=grant))

    def _take_end(self, execution: LiveExecution, end: pb.ExecutionEnd) -> None:
        if execution.end is not None:
            if execution.is_end_committed:
                self._acknowledge(execution)
            return
        outcome = convert.outcome_from_node(end)
        end.outcome = convert.OUTCOMES[outcome]
        self._end(execution, Event.REPORT, end, outcome, convert.started_from_wire(end.started))

    def _end(
        self,
        execution: LiveExecution,
        event: Event,
        end: pb.ExecutionEnd,
        outcome: Outcome,
        started: bool | None,
    ) -> None:
        if execution.end is not None:
            return
        run = self._runs[execution.command_id]
        self._regain_contact(run, execution)
        if outcome is Outcome.CANCELLED and run.is_ending and not run.is_cancelled:
            end.error_code = end.error_code or StopReason.DEADLINE.value
        execution.state, execution.outcome, execution.end = State.ENDED, outcome, end
        execution.ended_at = self._now()
        run.tell_state(execution)
        outputs: Sequence[StoredOutput] = execution.stored_outputs()
        transition = Transition(
            execution_id=execution.id,
            command_id=execution.command_id,
            event=event,
            values={**end_values(end, outcome, started), "ended_at": execution.ended_at},
            outputs=outputs,
        )
        self._recorder.submit(transition, lambda _: self._ended(execution))

    def _ended(self, execution: LiveExecution) -> None:
        run = self._runs.get(execution.command_id)
        self._acknowledge(execution)
        self._committed(execution)
        if run is not None:
            self._pump_soon(run)

    def _committed(self, execution: LiveExecution) -> None:
        execution.is_end_committed = True
        execution.credit = None
        feed = self._feeds.get(execution.command_id)
        if feed is not None:
            feed.ended(execution.id)
        self._by_node[execution.node_id].pop(execution.id, None)
        if not self._by_node[execution.node_id]:
            del self._by_node[execution.node_id]
        run = self._runs.get(execution.command_id)
        if run is not None and run.finish_if_over():
            del self._runs[run.id]
            self._pump_again(run, None)
            self._close_feed(run)
            for execution_id in run.executions:
                self._by_id.pop(execution_id, None)

    def remove_old_spools(self) -> None:
        """Stdin of commands that an earlier run of this admin had and that are over."""
        self._spools.remove_others(self._runs)

    def _open_feed(self, run: CommandRun) -> None:
        spec = run.options.spec
        if spec.has_stdin:
            spool = self._spools.open(run.id, is_terminal=spec.HasField("terminal"))
            reading = [execution.id for execution in run.executions.values() if not execution.is_end_committed]
            self._feeds[run.id] = StdinFeed(spool=spool, executions=reading, send=self._send_stdin)

    def _close_feed(self, run: CommandRun) -> None:
        feed = self._feeds.pop(run.id, None)
        if feed is not None:
            feed.close()
            asyncio.get_running_loop().run_in_executor(None, self._spools.remove, run.id)

    def _detach_stdin(self, execution: LiveExecution) -> None:
        feed = self._feeds.get(execution.command_id)
        if feed is not None:
            feed.detached(execution.id)

    def _send_stdin(self, execution_id: ExecutionId, order: session_pb.ExecutionOrder) -> bool:
        """Only over the session in which the node said what it takes."""
        execution = self._by_id.get(execution_id)
        session = self._registry.find(execution.node_id) if execution is not None else None
        if execution is None or session is None or execution.attached_epoch != session.epoch:
            return False
        session.order(order)
        return True

    def _acknowledge(self, execution: LiveExecution) -> None:
        order = session_pb.ExecutionOrder(execution_id=execution.id)
        order.acknowledge_end.SetInParent()
        self._order(execution.node_id, order)

    def _answer_unknown(self, session: NodeSession, report: session_pb.ExecutionReport) -> None:
        """An end of something that is over or unknown here is acknowledged, so that the node can forget it."""
        if report.WhichOneof("report") == "end":
            order = session_pb.ExecutionOrder(execution_id=report.execution_id)
            order.acknowledge_end.SetInParent()
            session.order(order)

    def _order(self, node_id: NodeId, order: session_pb.ExecutionOrder) -> None:
        session = self._registry.find(node_id)
        if session is not None:
            session.order(order)
