"""Everything that happens to executions that are under way: starting them in sessions, taking what nodes report, having
the recorder store it, and telling watchers. Runs on the event loop; only the recorder and loads touch the database.

An end is told, acknowledged and paced by when it is stored, and as it is stored: the database may have another one,
from an operator's cancel, another admin or the deletion of a node, and then that one is true.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from edge_server.commands import convert
from edge_server.commands.away_nodes import AwayNodes, HeldElsewhere
from edge_server.commands.domain import CommandId, Event, ExecutionId, Outcome, State
from edge_server.commands.late_ends import LateEnds, acknowledgement, collection
from edge_server.commands.output import half_for
from edge_server.commands.output_flow import OutputFlow
from edge_server.commands.pacing import PaceDecision, StopReason
from edge_server.commands.recorder import Recorder
from edge_server.commands.run import CommandRun, LiveExecution
from edge_server.commands.stdin_feeds import StdinFeeds
from edge_server.commands.stdin_spool import Spools
from edge_server.commands.storing import Stored
from edge_server.commands.timers import PumpTimers
from edge_server.commands.transition import StoredOutput, Transition, end_values
from edge_server.nodes.domain import NodeId
from edge_server.sessions.registry import SessionRegistry
from edge_server.sessions.session import NodeSession
from edge_wire.errors import CommandNotFound, EdgeError, NodeOnOtherAdmin
from edge_wire.names import printable
from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import session_pb2 as session_pb

log = logging.getLogger(__name__)

_OF_SESSION = {Event.RESEND, Event.RETURN, Event.MISS}
"""Steps of what never arrived: true only while nobody handed it out again in a later session."""


class Dispatcher:
    """The commands that are under way on this admin."""

    def __init__(
        self,
        *,
        registry: SessionRegistry,
        recorder: Recorder,
        spools: Spools,
        held_elsewhere: HeldElsewhere | None,
        reconnect_grace: timedelta,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._recorder = recorder
        self._now = now
        self._clock = clock
        self._grace_until = clock() + reconnect_grace.total_seconds()
        self._is_in_grace = True
        self._is_stopping = False
        self._runs: dict[CommandId, CommandRun] = {}
        self._timers = PumpTimers(self.pump)
        self.feeds = StdinFeeds(spools=spools, send=self._send_stdin)
        self._flow = OutputFlow(registry)
        self._away = AwayNodes(held_elsewhere=held_elsewhere, found=self._found_away)
        self._late = LateEnds(recorder=recorder, find=self.find_execution, now=now)
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
        known = self._runs.get(run.id)
        if known is not None:
            return known
        self._runs[run.id] = run
        self.feeds.open(run)
        self._by_id |= {execution.id: execution for execution in run.executions.values()}
        half = half_for(len(self._by_id))
        for execution in run.executions.values():
            execution.limit_output(half)
            if not execution.is_end_committed:
                self._by_node[execution.node_id][execution.id] = execution
        self._hand_over_sent(run)
        self.pump(run)
        return run

    def adopt_new(self, run: CommandRun) -> None:
        """Take in a command that was just stored; a node that it was stored for may have left meanwhile."""
        known = self.adopt(run)
        for execution in known.executions.values():
            if execution.state is not State.SENT or execution.attached_epoch is not None or self._is_stopping:
                continue
            session = self._registry.find(execution.node_id)
            if session is None:
                self.give_back(execution)
            else:
                self.resend(execution, session)

    def epoch_of(self, node_id: NodeId) -> int | None:
        """Epoch of the session over which a node may be handed something now; may be asked on any thread."""
        session = None if self._is_stopping else self._registry.find(node_id)
        return session.epoch if session is not None else None

    def _hand_over_sent(self, run: CommandRun) -> None:
        """Order what is stored as sent in a session that is here: nobody else knows whether it was.

        A node that has it already only reports.
        """
        for execution in run.executions.values():
            epoch = execution.sent_epoch
            if execution.state is State.SENT and epoch is not None and epoch == self.epoch_of(execution.node_id):
                self.send_start(execution)

    def forget(self, run: CommandRun, failure: EdgeError) -> None:
        """A command is no more: nothing is stored of it, and whoever watches is told so."""
        run.fail_watchers(failure)
        for execution in run.executions.values():
            self._remove_from_node(execution)
        self._remove(run)

    def resize(self, run: CommandRun, terminal: pb.Terminal) -> None:
        """Tell the node that its terminal has another size."""
        run.options.spec.terminal.columns, run.options.spec.terminal.rows = terminal.columns, terminal.rows
        for execution in run.executions.values():
            self._order(execution.node_id, session_pb.ExecutionOrder(execution_id=execution.id, resize=terminal))

    def pump(self, run: CommandRun) -> None:
        """Do what the pacer says, until it says nothing more."""
        while not self._is_stopping and run.needs_pacing:
            decision = run.pace(self.is_reachable)
            if run.options.is_pacer:
                self._give_up(run, decision)
            if decision.stop_reason is StopReason.DEADLINE:
                self._stop_all(run)
            chosen = [run.executions[execution_id] for execution_id in decision.start]
            if not run.options.is_pacer:  # whose turn it is, the pacer says; who has the node hands out
                chosen = [item for item in chosen if item.queued_at is not None] if run.has_its_stdin else []
            started = [execution for execution in chosen if self._start(execution)]
            if not started:
                self._timers.pump_at(run, decision.again_at)
                return

    def _give_up(self, run: CommandRun, decision: PaceDecision) -> None:
        """End what is not to start any more."""
        code = decision.stop_reason.value if decision.stop_reason is not None else ""
        for execution_id in decision.withhold:
            self.conclude(
                run.executions[execution_id], Event.WITHHOLD, Outcome.NOT_STARTED, started=False, error_code=code
            )
        for execution_id in decision.expire:
            self.conclude(run.executions[execution_id], Event.EXPIRE, Outcome.EXPIRED, started=False)

    def pump_node(self, node_id: NodeId) -> None:
        """A node is there: hand out what waits for it, the oldest command first."""
        commands = {execution.command_id for execution in self._by_node.get(node_id, {}).values()}
        for run in sorted((self._runs[command] for command in commands), key=lambda run: run.options.created_at):
            self.pump(run)

    def is_reachable(self, node_id: NodeId) -> bool:
        """Whether a node has a session with this admin."""
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
        execution.is_stop_told = self.is_reachable(execution.node_id)
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
        """End an execution on the admin's own account; `event` says on what evidence."""
        end = convert.end_of(outcome, started=started, error_code=error_code, error_message=error_message)
        self._end(execution, event, end, outcome, started)

    def note_stored_end(self, execution: LiveExecution, stored: LiveExecution) -> None:
        """Take over an end that somebody else stored, with the output that is stored of it."""
        run = self._runs.get(execution.command_id)
        if execution.is_end_committed or run is None:
            return
        run.take_stored_output(execution, stored)
        execution.state, execution.outcome, execution.end = State.ENDED, stored.outcome, stored.end
        self._commit_end(run, execution)

    def resend(self, execution: LiveExecution, session: NodeSession) -> None:
        """It was handed out in an earlier session and never arrived: hand it out in this one."""
        told = partial(self._resend_committed, execution, session.epoch)
        self._store(execution, Event.RESEND, {"sent_epoch": session.epoch}, told)

    def look_for_waiting(self) -> None:
        """Look again for nodes that were with another admin, or away, when the turn of an execution came.

        One that may wait is left to whoever gets the node, unless its stdin is here.
        """
        if self._is_in_grace:
            return
        for run in self.runs():
            if not run.options.is_pacer or (run.may_wait and not run.options.spec.has_stdin):
                continue
            for execution in run.executions.values():
                if execution.state is State.PENDING and execution.queued_at is not None:
                    self._away.look_for(execution, is_stored=True)

    def note_stored_state(self, execution: LiveExecution, stored: LiveExecution) -> None:
        """Take over where another admin brought an execution that is not over."""
        run = self._runs.get(execution.command_id)
        if run is None or execution.end is not None or execution.attached_epoch is not None:
            return
        is_ahead = execution.state is State.PENDING and stored.is_under_way
        is_back = execution.is_under_way and execution.is_send_stored and stored.state is State.PENDING
        if is_ahead or is_back:
            execution.state, execution.queued_at = stored.state, stored.queued_at
            execution.sent_at, execution.sent_epoch = stored.sent_at, stored.sent_epoch
            run.tell_state(execution)

    def give_back(self, execution: LiveExecution) -> None:
        """It was handed out and never arrived: the pacer has it again."""
        queued_at = execution.queued_at or execution.sent_at or self._now()
        told = partial(self._given_back, execution, queued_at)
        self._store(execution, Event.RETURN, {"queued_at": queued_at}, told)

    # --- sessions ------------------------------------------------------------------------------------------------

    def lose_contact(self, node_id: NodeId) -> None:
        """The node's session is gone: what it has goes on, unseen."""
        for execution in self._by_node.get(node_id, {}).values():
            execution.credit = None
            execution.attached_epoch = None
            execution.is_stop_told = False
            self.feeds.detached(execution)
            if execution.is_under_way and execution.out_of_contact_since is None:
                execution.out_of_contact_since = self._clock()

    def send_start(self, execution: LiveExecution) -> bool:
        """Order the start over the node's session; False when it has none."""
        session = self._registry.find(execution.node_id)
        if session is None:
            return False
        run = self._runs[execution.command_id]
        credit = self._attach(execution, session)
        session.order(session_pb.ExecutionOrder(execution_id=execution.id, start=run.start_order(credit)))
        if run.is_ending:
            self.stop_execution(run, execution)
        return True

    def send_resume(self, execution: LiveExecution, session: NodeSession) -> None:
        """Order the node to report it again, from where this admin stands."""
        run = self._runs[execution.command_id]
        credit = self._attach(execution, session)
        resume = session_pb.ResumeExecution(
            stdout_offset=execution.output(pb.OUTPUT_STREAM_STDOUT).end,
            stderr_offset=execution.output(pb.OUTPUT_STREAM_STDERR).end,
            credit=credit,
        )
        session.order(session_pb.ExecutionOrder(execution_id=execution.id, resume=resume))
        self._regain_contact(run, execution)
        if run.is_ending:
            self.stop_execution(run, execution)

    def report(self, session: NodeSession, report: session_pb.ExecutionReport) -> None:
        """Take one report of a node about one of its own executions."""
        execution = self._by_id.get(ExecutionId(report.execution_id))
        if execution is None or execution.is_end_committed or execution.node_id != session.node.id:
            self._late.take(session, report)
            return
        if execution.attached_epoch != session.epoch:
            return  # said before it was asked, or after the node was deleted: what counts is reported again
        kind = report.WhichOneof("report")
        if kind == "started":
            self._take_started(execution)
        elif kind == "output":
            self._flow.take(session, self._runs[execution.command_id], execution, report.output)
        elif kind == "gap":
            self._flow.skip(execution, report.gap)
        elif kind == "end":
            self._take_end(execution, report.end)
        elif kind == "stdin_wanted":
            self.feeds.wanted(execution, report.stdin_wanted)
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
        self._timers.stop()
        self._away.stop()
        self.feeds.stop()
        for run in self.runs():
            run.fail_watchers(failure)

    # --- inside --------------------------------------------------------------------------------------------------

    def _store(
        self,
        execution: LiveExecution,
        event: Event,
        values: Mapping[str, Any],
        told: Callable[[Stored], None],
        outputs: Sequence[StoredOutput] = (),
    ) -> None:
        """Have one step stored; `told` is called with what is stored then."""
        is_of_session = event in _OF_SESSION and execution.sent_epoch is not None
        transition = Transition(
            execution_id=execution.id,
            command_id=execution.command_id,
            event=event,
            values=values,
            only_if={"sent_epoch": execution.sent_epoch} if is_of_session else {},
            outputs=outputs,
        )
        self._recorder.submit(transition, told)

    def _start(self, execution: LiveExecution) -> bool:
        """Hand one execution out, or see to it that its node is away; False when the node may still come back."""
        session = self._registry.find(execution.node_id)
        if session is None:
            if self._is_in_grace or execution.queued_at is not None:
                return False
            execution.queued_at = self._now()  # it had its turn; what follows is seen when the node is looked for
            self._away.look_for(execution, is_stored=False)
            return True
        execution.state, execution.sent_at, execution.is_send_stored = State.SENT, self._now(), False
        execution.sent_epoch = session.epoch
        values = {"sent_at": execution.sent_at, "sent_epoch": session.epoch}
        # Stored before it is sent: a row that says pending proves that no node has it.
        self._store(execution, Event.SEND, values, partial(self._send_committed, execution))
        return True

    def _send_committed(self, execution: LiveExecution, stored: Stored) -> None:
        if stored.state is State.ENDED:
            # With another admin; what its node said of it when it came was passed over, as it was being handed out.
            self._order(execution.node_id, collection(execution.id))
        if execution.state is not State.SENT or execution.command_id not in self._runs:
            return
        execution.sent_epoch = stored.sent_epoch
        if stored.state not in {State.SENT, State.RUNNING}:
            self._take_over(execution, stored)
            return
        execution.is_send_stored = True
        if not self.send_start(execution) and not self._is_stopping:
            self.give_back(execution)

    def _resend_committed(self, execution: LiveExecution, epoch: int, stored: Stored) -> None:
        if execution.state is not State.SENT or execution.command_id not in self._runs:
            return
        if stored.state is State.SENT and stored.sent_epoch == epoch:
            execution.sent_epoch = epoch
            self.send_start(execution)
        else:  # another admin was faster, or it is over
            self._take_over(execution, stored)

    def _given_back(self, execution: LiveExecution, queued_at: datetime, stored: Stored) -> None:
        run = self._runs.get(execution.command_id)
        if run is None or execution.state is not State.SENT:
            return
        if stored.state is not State.PENDING:
            self._take_over(execution, stored)
            return
        execution.state, execution.queued_at = State.PENDING, queued_at
        self._regain_contact(run, execution)
        if run.may_wait:
            run.tell_queued(execution)
        else:
            self._away.look_for(execution, is_stored=True)
        self.pump(run)

    def _found_away(self, execution: LiveExecution, *, holder: str, is_stored: bool) -> None:
        """Its turn has come and its node has no session here: it waits, or that is its end."""
        run = self._runs.get(execution.command_id)
        if run is None or execution.state is not State.PENDING or self._is_stopping:
            return
        if self.is_reachable(execution.node_id):
            self.pump(run)
        elif holder and run.options.spec.has_stdin:
            message = f"its stdin was brought to this admin, and its node is with {holder}"
            code = NodeOnOtherAdmin.code
            self.conclude(
                execution, Event.WITHHOLD, Outcome.NOT_STARTED, started=False, error_code=code, error_message=message
            )
        elif not run.may_wait and not holder:
            self.conclude(execution, Event.FIND_OFFLINE, Outcome.OFFLINE, started=False, error_code="node_offline")
        elif not is_stored:
            if not holder:
                run.tell_queued(execution)
            values = {"queued_at": execution.queued_at}
            self._store(execution, Event.QUEUE, values, partial(self._take_over, execution))

    def _attach(self, execution: LiveExecution, session: NodeSession) -> int:
        """Bind an execution to a session with fresh credit; returns the first grant."""
        execution.attached_epoch = session.epoch
        self.feeds.detached(execution)
        return self._flow.open(execution)

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
        self._store(execution, Event.START, {"started_at": self._now()}, partial(self._take_over, execution))

    def _take_end(self, execution: LiveExecution, end: pb.ExecutionEnd) -> None:
        if execution.end is not None:
            return  # being stored: it is acknowledged then
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
        values = {**end_values(end, outcome, started), "ended_at": execution.ended_at}
        told = partial(self._end_stored, execution, event)
        self._store(execution, event, values, told, execution.stored_outputs())
        run.note_end(execution)
        if run.has_heard_all:
            self._recorder.hurry()

    def _end_stored(self, execution: LiveExecution, event: Event, stored: Stored) -> None:
        if stored.state is not None and stored.state is not State.ENDED:
            self._revive(execution, stored.state)
            return
        session = self._registry.find(execution.node_id)
        if stored.other_end is not None:
            # Only what the node itself says may correct: an admin that found nobody there proves nothing.
            if event is Event.REPORT and session is not None and execution.end is not None:
                self._late.correct(session, execution.id, execution.end)
            self.note_stored_end(execution, stored.other_end)
            return
        if session is not None:
            session.order_in_company(acknowledgement(execution.id))
        run = self._runs.get(execution.command_id)
        if run is not None and not execution.is_end_committed:
            self._commit_end(run, execution)

    def _revive(self, execution: LiveExecution, state: State) -> None:
        """This admin thought that it was over, and its node had told another admin that it runs."""
        execution.state, execution.outcome, execution.end, execution.ended_at = state, None, None, None
        run = self._runs.get(execution.command_id)
        if run is not None:
            run.take_back_end(execution)
        session = self._registry.find(execution.node_id)
        if session is not None:
            self.send_resume(execution, session)

    def _take_over(self, execution: LiveExecution, stored: Stored) -> None:
        """When the database has its end already, that is its end."""
        run = self._runs.get(execution.command_id)
        if run is None:
            return
        if stored.state is None:
            self.forget(run, CommandNotFound("the command was deleted"))
        elif stored.other_end is not None and execution.end is None:
            self.note_stored_end(execution, stored.other_end)

    def _commit_end(self, run: CommandRun, execution: LiveExecution) -> None:
        """Its end is in the database: tell it, and let the next one start."""
        execution.credit = None
        run.commit_end(execution)
        self.feeds.ended(execution)
        self._remove_from_node(execution)
        if run.finish_if_over():
            self._remove(run)
        else:
            self._timers.pump_soon(run)

    def _remove_from_node(self, execution: LiveExecution) -> None:
        self._by_node[execution.node_id].pop(execution.id, None)
        if not self._by_node[execution.node_id]:
            del self._by_node[execution.node_id]

    def _remove(self, run: CommandRun) -> None:
        self._runs.pop(run.id, None)
        self._timers.pump_at(run, None)
        self.feeds.close(run)
        for execution_id in run.executions:
            self._by_id.pop(execution_id, None)

    def _send_stdin(self, execution_id: ExecutionId, order: session_pb.ExecutionOrder) -> bool:
        """Only over the session in which the node said what it takes."""
        execution = self._by_id.get(execution_id)
        session = self._registry.find(execution.node_id) if execution is not None else None
        if execution is None or session is None or execution.attached_epoch != session.epoch:
            return False
        session.order(order)
        return True

    def _order(self, node_id: NodeId, order: session_pb.ExecutionOrder) -> None:
        session = self._registry.find(node_id)
        if session is not None:
            session.order(order)
