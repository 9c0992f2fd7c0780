"""Ends of executions that are over or unknown here: late evidence, which may correct what was given up as lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from edge_server.commands import convert
from edge_server.commands.domain import CORRECTABLE, CommandId, Event, ExecutionId, Outcome, State
from edge_server.commands.recorder import Recorder
from edge_server.commands.run import LiveExecution
from edge_server.commands.storing import Stored
from edge_server.commands.transition import Transition, end_values
from edge_server.sessions.session import NodeSession
from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import session_pb2 as session_pb


class LateEnds:
    """Has evidence stored, and acknowledges it so that the node can forget it."""

    def __init__(
        self,
        *,
        recorder: Recorder,
        find: Callable[[ExecutionId], LiveExecution | None],
        now: Callable[[], datetime],
    ) -> None:
        self._recorder = recorder
        self._find = find
        self._now = now

    def take(self, session: NodeSession, report: session_pb.ExecutionReport) -> None:
        """A node reports about what is over or unknown here; anything but an end says nothing new."""
        if report.WhichOneof("report") != "end":
            return
        self.correct(session, ExecutionId(report.execution_id), report.end)

    def correct(self, session: NodeSession, execution_id: ExecutionId, end: pb.ExecutionEnd) -> None:
        """Have it stored if what is stored may be corrected; acknowledged when that is settled."""
        outcome = convert.outcome_from_node(end)
        if outcome not in CORRECTABLE[Outcome.LOST]:
            session.order(acknowledgement(execution_id))
            return
        end.outcome = convert.OUTCOMES[outcome]
        started = convert.started_from_wire(end.started)
        transition = Transition(
            execution_id=execution_id,
            command_id=CommandId(""),
            event=Event.CORRECT,
            values={**end_values(end, outcome, started), "ended_at": self._now(), "corrected_at": self._now()},
            only_if={"node_id": session.node.id},
        )
        self._recorder.submit(transition, partial(self._stored, session, execution_id, end, outcome))

    def _stored(
        self, session: NodeSession, execution_id: ExecutionId, end: pb.ExecutionEnd, outcome: Outcome, stored: Stored
    ) -> None:
        is_corrected = stored.state is State.ENDED and stored.other_end is None
        execution = self._find(execution_id)
        if is_corrected and execution is not None:
            execution.outcome, execution.end = outcome, end
        if stored.state in {State.ENDED, None}:  # else it goes on here, and its end is still needed
            session.order(acknowledgement(execution_id))


def acknowledgement(execution_id: ExecutionId) -> session_pb.ExecutionOrder:
    """Tells a node that an end is stored: it may forget the execution."""
    order = session_pb.ExecutionOrder(execution_id=execution_id)
    order.acknowledge_end.SetInParent()
    return order


def collection(execution_id: ExecutionId) -> session_pb.ExecutionOrder:
    """Resume without credit, so that only its end comes back and can be acknowledged."""
    resume = session_pb.ResumeExecution(stdout_offset=2**62, stderr_offset=2**62)
    return session_pb.ExecutionOrder(execution_id=execution_id, resume=resume)
