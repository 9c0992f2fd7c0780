"""The node's executions: takes orders, keeps the journal ahead of what happens, reports to whoever has the session.

An execution is on disk before its process starts and until its end is acknowledged; a known id is never started again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_agent.executions import ends, reports
from edge_agent.executions import lost as lost_ones
from edge_agent.executions.journal import Journal
from edge_agent.executions.journal_records import Entry
from edge_agent.executions.line import Line
from edge_agent.executions.live import Live, Reporting
from edge_agent.executions.requests import to_request
from edge_agent.executions.runner_client import RunnerClient
from edge_agent.runner import leftovers
from edge_agent.runner.protocol import Message
from edge_agent.runner.stdin import LIMIT as STDIN_LIMIT
from edge_wire.errors import EdgeError
from edge_wire.tasks import OwnedTasks
from edge_wire.v1 import command_pb2
from edge_wire.v1 import session_pb2 as pb

log = logging.getLogger(__name__)

Send = Callable[[reports.Report], None]

_RUNNER_RETRY_SECONDS = 1.0
_FORGET_SECONDS = 0.25
"""How long the runner keeps what is acknowledged: many are forgotten at once, and nobody waits for it."""
_NOTHING_WANTED = 2**62
"""An offset from which on no output is asked for: the admin wants the end only."""
_REPORTS: Mapping[str, Callable[[Message], reports.Report]] = {
    "output": reports.output,
    "gap": reports.gap,
    "stdin_wanted": reports.stdin_wanted,
}
"""What the runner says and the admin is told as it is."""


class Executions:
    """Everything that the session needs to know of executions."""

    def __init__(
        self, *, journal: Journal, runner_dir: Path, concurrency: int, spool_bytes: int, hidden: Collection[str]
    ) -> None:
        self._journal = journal
        self._runner_dir = runner_dir
        self._spool_bytes = spool_bytes
        self._hidden = hidden
        self._live: dict[str, Live] = {}
        self._line = Line(concurrency)
        self._send: Send | None = None
        self._tasks = OwnedTasks(log, "an execution could not be handled")
        self._is_stopping = False
        self._boot_id = leftovers.boot_id()
        self._rounds = 0
        self._forgettable: list[str] = []
        """The runner is about to be told that nothing of them is needed."""
        self._runner = self._new_runner()

    async def start(self) -> None:
        """Read the journal, find or start the runner, settle what an earlier agent left. Raises EdgeError."""
        await self._journal.open()
        for entry in self._journal.entries.values():
            self._live[entry.id] = Live(entry, is_accepted=True, is_end_on_disk=entry.end is not None)
        await self._runner.connect()
        await self._settle()

    async def stop(self) -> None:
        """Leave the runner to itself; it goes when it has nothing to keep."""
        self._is_stopping = True
        self.detach()
        self._forget_in_runner()
        self._runner.send("quit")
        await self._tasks.stop()
        for live in self._live.values():
            if not live.is_handed_to_runner and live.entry.runner_instance and live.entry.end is None:
                self._journal.note_not_handed(live.entry.id)
        await self._runner.close()
        await self._journal.close()

    def inventory(self) -> list[pb.ExecutionInventory]:
        """Every execution in the journal."""
        return [
            pb.ExecutionInventory(
                execution_id=live.entry.id, started=live.entry.started is not None, ended=live.is_end_on_disk
            )
            for live in self._live.values()
        ]

    def snapshot(self) -> dict[str, int]:
        """How many executions stand where."""
        ended = sum(1 for live in self._live.values() if live.entry.end is not None)
        return {
            "waiting": len(self._line),
            "running": self._line.under_way,
            "unacknowledged": ended,
        }

    def attach(self, send: Send) -> None:
        """A session is there; nothing is reported of an execution before it is started or resumed in it."""
        self._send = send
        for live in self._live.values():
            live.reporting = None

    def detach(self) -> None:
        """The session is gone, and all credit with it."""
        self._send = None
        for live in self._live.values():
            live.reporting = None
        self._runner.send("detach")

    def receive(self, order: pb.ExecutionOrder) -> None:
        """Take one order of the admin."""
        kind = order.WhichOneof("order")
        live = self._live.get(order.execution_id)
        if kind == "start":
            self._take_start(order.execution_id, order.start, live)
        elif kind == "acknowledge_end":
            if live is not None and live.is_end_on_disk:
                self._forget(live)
        elif live is not None:
            self._take_about(live, order, kind)

    def _take_about(self, live: Live, order: pb.ExecutionOrder, kind: str | None) -> None:
        if kind == "resume":
            resume = order.resume
            self._report_from(live, Reporting(resume.stdout_offset, resume.stderr_offset, resume.credit))
        elif kind == "credit":
            self._runner.send("credit", id=live.entry.id, total=order.credit.total)
        elif kind == "stdin":
            self._take_stdin(live, order.stdin)
        elif kind == "resize":
            self._take_resize(live, order.resize)
        elif kind == "stop":
            self._take_stop(live, order.stop.kill_after.ToTimedelta().total_seconds())

    # --- orders --------------------------------------------------------------------------------------------------

    def _take_start(self, execution_id: str, start: pb.StartExecution, live: Live | None) -> None:
        reporting = Reporting(credit=start.credit)
        if live is not None:
            self._report_from(live, reporting)
            return
        if execution_id in self._journal.forgotten:
            # Its end was acknowledged: whatever made the admin ask again, it is not run again.
            self._send_if_attached(reports.forgotten(execution_id))
            return
        try:
            request = to_request(start)
            self._journal.require_room()
        except EdgeError as error:
            self._refuse(execution_id, error)
            return
        entry = Entry(
            id=execution_id,
            # One record instead of two, when it need not wait.
            runner_instance=self._runner.instance_id if self._has_room() else "",
            boot_id=self._boot_id,
            accepted_at=datetime.now(UTC).isoformat(timespec="seconds"),
            request=request,
        )
        accepted = Live(entry, reporting=reporting)
        self._live[execution_id] = accepted
        self._tasks.spawn(self._accept(accepted))

    async def _accept(self, live: Live) -> None:
        """On disk first, then in line for the runner."""
        try:
            await self._journal.accept(live.entry)
        except EdgeError as error:
            del self._live[live.entry.id]
            self._refuse(live.entry.id, error)
            return
        live.is_accepted = True
        if live.stop_kill_after is not None:
            await self._end(live, ends.never_started())
            return
        self._line.append(live.entry.id)
        self._hand_over()

    def _hand_over(self) -> None:
        """Give waiting executions to the runner while there is room."""
        while self._line and self._has_room():
            live = self._live.get(self._line.next())
            if live is None or live.entry.end is not None:
                continue
            if live.entry.runner_instance == self._runner.instance_id:
                self._start_in_runner(live)
            else:
                live.is_leaving_line = True
                self._line.note(live)
                self._tasks.spawn(self._hand_over_on_record(live))

    def _has_room(self) -> bool:
        """Whether the runner takes one more; without a runner they wait for the next one."""
        return self._runner.takes_work and not self._is_stopping and self._line.has_place

    async def _hand_over_on_record(self, live: Live) -> None:
        """On disk first: whoever reads the journal must know that this runner may have started it."""
        runner = self._runner
        await self._journal.hand_over(live.entry.id, runner.instance_id)
        live.is_leaving_line = False
        self._line.note(live)
        if live.stop_kill_after is not None:
            await self._end(live, ends.never_started())
        elif self._runner is runner and runner.takes_work:
            self._start_in_runner(live)
        else:
            self._line.append_first(live.entry.id)
            self._hand_over()

    def _start_in_runner(self, live: Live) -> None:
        live.is_handed_to_runner = True
        self._line.note(live)
        self._runner.send("start", id=live.entry.id, spool_bytes=self._spool_bytes, **live.entry.request)
        if live.reporting is not None:
            self._resume_in_runner(live, live.reporting)

    def _take_stdin(self, live: Live, chunk: command_pb2.StdinChunk) -> None:
        """Pass bytes on; the runner takes no more than it said, and what is too much at once is not even sent."""
        if live.takes_input:
            data = chunk.data[:STDIN_LIMIT]
            is_last = chunk.is_last and len(data) == len(chunk.data)
            self._runner.send("stdin", data, id=live.entry.id, offset=chunk.offset, is_last=is_last)

    def _take_resize(self, live: Live, size: command_pb2.Terminal) -> None:
        if live.takes_input:
            self._runner.send("resize", id=live.entry.id, columns=size.columns, rows=size.rows)
        elif "terminal" in live.entry.request and size.columns and size.rows:
            live.entry.request["terminal"] |= {"columns": size.columns, "rows": size.rows}  # it will start with that

    def _take_stop(self, live: Live, kill_after: float) -> None:
        if live.entry.end is not None:
            return
        live.stop_kill_after = kill_after
        if live.is_handed_to_runner:
            self._runner.send("stop", id=live.entry.id, kill_after=kill_after)
        elif live.entry.id in self._line:
            self._line.remove(live.entry.id)
            self._tasks.spawn(self._end(live, ends.never_started()))

    def _forget(self, live: Live) -> None:
        """The admin has its end: nothing of it is needed any more but its id."""
        if not self._forgettable:
            asyncio.get_running_loop().call_later(_FORGET_SECONDS, self._forget_in_runner)
        self._forgettable.append(live.entry.id)
        self._journal.forget(live.entry.id)
        del self._live[live.entry.id]
        self._retire_outdated_runner()

    def _forget_in_runner(self) -> None:
        forgettable, self._forgettable = self._forgettable, []
        for execution_id in forgettable:
            self._runner.send("forget", id=execution_id)

    def _report_from(self, live: Live, reporting: Reporting) -> None:
        """Report one execution again: its state, its output from some offsets, its end."""
        live.reporting = reporting
        if live.entry.started is not None:
            self._report(live, reports.started(live.entry))
        if live.is_handed_to_runner:
            self._resume_in_runner(live, reporting)
            return
        reporting.is_drained = True
        if live.entry.end is not None and _misses_output(live.entry.end, reporting):
            live.entry.end["truncated"] = True
        self._report_end_if_ready(live)

    def _report_what_is_left(self, live: Live) -> None:
        """The runner died with output that was not sent yet: the end goes out without it and says so."""
        if live.reporting is None or live.reporting.is_drained:
            return
        assert live.entry.end is not None
        live.entry.end["truncated"] = True
        live.reporting.is_drained = True
        self._report_end_if_ready(live)

    def _resume_in_runner(self, live: Live, reporting: Reporting) -> None:
        self._rounds += 1
        reporting.round, reporting.is_drained = self._rounds, False
        self._runner.send(
            "resume",
            id=live.entry.id,
            stdout_offset=reporting.stdout_offset,
            stderr_offset=reporting.stderr_offset,
            credit=reporting.credit,
            wanted=reporting.stdout_offset < _NOTHING_WANTED,
            round=reporting.round,
        )

    # --- what the runner says ------------------------------------------------------------------------------------

    def _told(self, message: Message) -> None:
        live = self._live.get(message.fields.get("id", ""))
        if live is None:
            if message.type == "ended":
                self._runner.send("forget", id=message.fields["id"])
            return
        if message.type == "started" and live.entry.started is None:
            self._note_started(live, message.fields)
            self._report(live, reports.started(live.entry))
        elif message.type in _REPORTS and live.is_about_this_session(message.fields):
            self._report(live, _REPORTS[message.type](message))
        elif message.type == "ended" and live.entry.end is None:
            self._tasks.spawn(self._end(live, ends.from_runner(message.fields)))
        elif message.type == "drained":
            self._take_drained(live, message)

    def _note_started(self, live: Live, said: Mapping[str, Any]) -> None:
        self._journal.note_started(live.entry.id, {"pid": said["pid"], "start_ticks": said["start_ticks"]})

    def _take_drained(self, live: Live, message: Message) -> None:
        if live.reporting is None or live.reporting.round != message.fields["round"]:
            return  # about an earlier session
        live.reporting.is_drained = True
        if live.entry.end is not None and message.fields["truncated"]:
            live.entry.end["truncated"] = True
        self._report_end_if_ready(live)

    async def _end(self, live: Live, end: dict[str, Any]) -> None:
        """On disk first, then to the admin. What was on disk before stays: it was true."""
        if live.entry.end is not None:
            return
        live.entry.end = end
        self._line.note(live)
        self._hand_over()
        await self._journal.end(live.entry.id, end)
        live.is_end_on_disk = True
        if live.reporting is not None and not live.is_handed_to_runner:
            live.reporting.is_drained = True
        self._report_end_if_ready(live)

    # --- the runner's life ---------------------------------------------------------------------------------------

    def _new_runner(self) -> RunnerClient:
        return RunnerClient(self._runner_dir, hidden=self._hidden, told=self._told, died=self._runner_died)

    def _runner_died(self) -> None:
        if self._is_stopping:
            return
        if self._runner.is_retired:
            log.info("the runner of an earlier agent has left")
        else:
            log.error("the runner died; its executions are lost")
        self._tasks.spawn(self._replace_runner())

    def _retire_outdated_runner(self) -> None:
        """Let a runner of another version of this program go as soon as it keeps nothing; a new one takes its place."""
        if self._runner.is_outdated and self._runner.takes_work and not self._is_runner_needed():
            self._forget_in_runner()
            self._runner.retire()

    def _is_runner_needed(self) -> bool:
        return any(live.is_handed_to_runner or live.is_leaving_line for live in self._live.values())

    async def _replace_runner(self) -> None:
        await self._runner.close()
        self._runner = self._new_runner()
        while True:
            try:
                await self._runner.connect()
                break
            except EdgeError as error:
                log.warning("%s", error.message)
                await asyncio.sleep(_RUNNER_RETRY_SECONDS)
        await self._settle()

    async def _settle(self) -> None:
        """Compare journal and runner: adopt what runs, start what surely never started, call the rest lost."""
        known = set(self._runner.executions)
        lost: list[Live] = []
        for live in list(self._live.values()):
            live.is_handed_to_runner = live.entry.id in known
            self._line.note(live)
            if live.is_handed_to_runner:
                self._note_adopted(live)
                if live.reporting is not None:
                    self._resume_in_runner(live, live.reporting)
            elif live.entry.end is not None:
                self._report_what_is_left(live)
            elif not live.is_accepted or live.is_leaving_line or live.entry.id in self._line:
                continue  # it is or will be in line for this runner
            elif lost_ones.surely_never_started(
                live.entry, boot_id=self._boot_id, runner_instance=self._runner.instance_id
            ):
                self._line.append(live.entry.id)
            else:
                lost.append(live)
        for stray in known - set(self._live):
            self._runner.send("stop", id=stray, kill_after=lost_ones.GRACE_SECONDS)
            self._runner.send("forget", id=stray)
        if lost:
            await self._declare_lost(lost)
        self._retire_outdated_runner()
        self._hand_over()

    def _note_adopted(self, live: Live) -> None:
        snapshot = self._runner.executions[live.entry.id]
        if live.entry.started is None and snapshot["pid"]:
            self._note_started(live, snapshot)

    async def _declare_lost(self, lost: list[Live]) -> None:
        await lost_ones.end_processes([live.entry for live in lost], boot_id=self._boot_id)
        for live in lost:
            await self._end(live, lost_ones.end_of(live.entry, boot_id=self._boot_id))

    # --- reports -------------------------------------------------------------------------------------------------

    def _report_end_if_ready(self, live: Live) -> None:
        """The end goes out once it is on disk and all output that is to be had went before it."""
        if not live.is_end_on_disk or live.reporting is None or not live.reporting.is_drained:
            return
        self._report(live, reports.ended(live.entry))

    def _report(self, live: Live, report: reports.Report) -> None:
        if self._send is not None and live.reporting is not None:
            self._send(report)

    def _refuse(self, execution_id: str, error: EdgeError) -> None:
        self._send_if_attached(reports.refused(execution_id, error))

    def _send_if_attached(self, report: reports.Report) -> None:
        if self._send is not None:
            self._send(report)


def _misses_output(end: dict[str, Any], reporting: Reporting) -> bool:
    """Whether output that the admin does not have went with the runner."""
    return bool(
        reporting.stdout_offset < end.get("stdout_bytes", 0) or reporting.stderr_offset < end.get("stderr_bytes", 0)
    )
