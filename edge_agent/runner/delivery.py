"""What the agent is told of executions: their ends, how far stdin is and, as far as its credit goes, their output.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edge_agent.runner.agent_link import AgentLink
from edge_agent.runner.execution import CHUNK, STREAMS, Execution, StreamName

_START_SECONDS = 0.1
"""How long after its start it is told: most are over by then, and both go in one message."""


class Delivery:
    """Sends what is due over the agent's link."""

    def __init__(self, link: AgentLink, *, unstall: Callable[[Execution], None]) -> None:
        self._link = link
        self._unstall = unstall
        """Called when output was taken: exact output may be read on."""

    def send_what_is_due(self, executions: Iterable[Execution], now: float) -> None:
        """Ends first, because the agent writes them to disk while the output is on its way."""
        if not self._link.is_there:
            return
        for execution in executions:
            if not execution.is_start_told and now >= execution.started_at + _START_SECONDS:
                self.tell_state(execution)
            if execution.is_over and not execution.is_end_told:
                execution.is_end_told = True
                self._tell_start_first(execution)
                self._link.send("ended", id=execution.id, **execution.end_fields())
            if execution.credit is not None:
                self._send_all_output(execution, now)

    def next_moment(self, execution: Execution) -> float | None:
        """When its start, or output that waits for more, has waited long enough; None when nothing may be sent."""
        moments = []
        if self._may_send(execution):
            since = [output.unsent_since for output in execution.outputs.values() if output.unsent_since is not None]
            moments += [moment + execution.gather_seconds for moment in since]
        if not execution.is_start_told and self._link.is_there:
            moments.append(execution.started_at + _START_SECONDS)
        return min(moments, default=None)

    def tell_state(self, execution: Execution) -> None:
        """Its process runs, if it ever had one."""
        execution.is_start_told = True
        if execution.process is not None:
            self._link.send("started", id=execution.id, pid=execution.process.pid, start_ticks=execution.start_ticks)

    def tell_stdin(self, execution: Execution) -> None:
        """How far it is with its stdin; void while the agent has no session, which asks again when it has."""
        stdin = execution.stdin
        if stdin is not None and execution.credit is not None:
            stdin.note_told()
            self._tell_start_first(execution)
            self._link.send(
                "stdin_wanted", id=execution.id, offset=stdin.offset, limit=stdin.limit, closed=stdin.is_over
            )

    def _tell_start_first(self, execution: Execution) -> None:
        if not execution.is_start_told:
            self.tell_state(execution)

    def _send_all_output(self, execution: Execution, now: float) -> None:
        for name in STREAMS:
            self._send_output(execution, name, now)
        is_all_sent = all(output.sent >= output.spool.end for output in execution.outputs.values())
        if execution.is_over and is_all_sent and not execution.is_drain_told:
            execution.is_drain_told = True
            has_gap = any(output.has_gap for output in execution.outputs.values())
            self._link.send("drained", id=execution.id, round=execution.round, truncated=has_gap)

    def _send_output(self, execution: Execution, name: StreamName, now: float) -> None:
        output = execution.outputs[name]
        if output.is_unwanted:
            output.sent = output.spool.end
        while output.sent < output.spool.end and self._may_send(execution):
            waiting = output.spool.end - output.sent
            since = output.unsent_since if output.unsent_since is not None else now
            if waiting < CHUNK and not execution.is_over and now - since < execution.gather_seconds:
                return
            self._send_chunk(execution, name)
        if output.sent >= output.spool.end:
            output.unsent_since = None
        self._unstall(execution)

    def _send_chunk(self, execution: Execution, name: StreamName) -> None:
        self._tell_start_first(execution)
        output = execution.outputs[name]
        assert execution.credit is not None
        buffer = self._link.buffer()
        wanted = memoryview(buffer)[: execution.credit - execution.credited]
        offset, size = output.spool.read_into(wanted, output.sent)
        if offset > output.sent:
            output.has_gap = True
            self._link.send(
                "gap",
                id=execution.id,
                stream=name,
                round=execution.round,
                from_offset=output.sent,
                to_offset=offset,
            )
        output.sent = offset + size
        execution.credited += size
        if size:
            about = {"id": execution.id, "stream": name, "round": execution.round}
            self._link.send_from(buffer, size, "output", offset=offset, **about)

    def _may_send(self, execution: Execution) -> bool:
        return execution.credit is not None and execution.credited < execution.credit and self._link.has_room
