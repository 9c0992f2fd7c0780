"""Output on its way from nodes to watchers: under credit, which grows as watchers take it."""

from __future__ import annotations

from functools import partial

from edge_server.commands.run import STREAMS, CommandRun, LiveExecution
from edge_server.sessions.registry import SessionRegistry
from edge_server.sessions.session import NodeSession
from edge_wire.credit import CreditBudget, CreditWindow
from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import session_pb2 as session_pb

_OFFSET_LIMIT = 2**62
"""No process writes as much; a node that says so is not believed."""


class OutputFlow:
    """Grants credit, takes what comes and passes it on."""

    def __init__(self, registry: SessionRegistry) -> None:
        self._registry = registry
        self._budget = CreditBudget()

    def open(self, execution: LiveExecution) -> int:
        """Fresh credit for a session. Returns the first grant."""
        execution.credit = CreditWindow(budget=self._budget)
        return execution.credit.granted

    def take(self, session: NodeSession, run: CommandRun, execution: LiveExecution, chunk: pb.OutputChunk) -> None:
        """A chunk came; more than was granted ends the session."""
        credit = execution.credit
        if credit is None or chunk.stream not in STREAMS:
            return
        output = run.read_output(execution, chunk)
        credit.receive(len(output.data))
        if credit.is_overrun:
            session.say_goodbye("credit_exceeded", "more output was sent than was granted")
        elif output.offset <= _OFFSET_LIMIT:
            run.take_output(execution, output, partial(self._delivered, execution, credit))

    def skip(self, execution: LiveExecution, gap: pb.OutputGap) -> None:
        """The node says that bytes will never come."""
        if gap.stream in STREAMS and gap.to_offset <= _OFFSET_LIMIT:
            execution.output(gap.stream).skip_to(gap.to_offset)

    def _delivered(self, execution: LiveExecution, credit: CreditWindow, size: int) -> None:
        if execution.credit is not credit:
            return
        total = credit.drain(size)
        session = self._registry.find(execution.node_id)
        if total is not None and session is not None:
            grant = session_pb.GrantCredit(total=total)
            session.order(session_pb.ExecutionOrder(execution_id=execution.id, credit=grant))
