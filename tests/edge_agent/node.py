"""A node's executions with a real runner, and a test in the place of its session."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from edge_agent.executions.executions import Executions
from edge_agent.executions.journal import Journal
from edge_agent.executions.reports import Report
from edge_agent.runner import leftovers
from edge_agent.settings import HIDDEN
from edge_wire.v1 import command_pb2
from edge_wire.v1 import session_pb2 as pb
from tests.edge_agent.processes import ALL, is_alive, kill, new_id, working_on
from tests.support.eventually import eventually

STDOUT, STDERR = command_pb2.OUTPUT_STREAM_STDOUT, command_pb2.OUTPUT_STREAM_STDERR


def as_message(report: Report) -> pb.ExecutionReport:
    """A report as a frame carries it."""
    if isinstance(report, pb.ExecutionReport):
        return report
    message = pb.ExecutionReport()
    report.write_to(message)
    return message


class Node:
    """Executions on one data directory, over any number of agent lives."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.reports: list[pb.ExecutionReport] = []
        """What the present session was told."""
        self.ids: set[str] = set()
        self._executions: Executions | None = None

    @property
    def executions(self) -> Executions:
        assert self._executions is not None
        return self._executions

    @property
    def runner_pid(self) -> int:
        return int(json.loads((self.data_dir / "runner" / "pid").read_text())["pid"])

    # --- lives ---------------------------------------------------------------------------------------------------

    async def start(self, *, concurrency: int = 4, spool_bytes: int = 256 * 1024) -> None:
        """A new agent process would do this; the session comes with it."""
        self._executions = Executions(
            journal=Journal(self.data_dir / "executions"),
            runner_dir=self.data_dir / "runner",
            concurrency=concurrency,
            spool_bytes=spool_bytes,
            hidden=HIDDEN,
        )
        await self._executions.start()
        self.attach()

    async def stop(self) -> None:
        executions, self._executions = self._executions, None
        if executions is not None:
            await executions.stop()

    async def restart(self, *, concurrency: int = 4, spool_bytes: int = 256 * 1024) -> None:
        await self.stop()
        await self.start(concurrency=concurrency, spool_bytes=spool_bytes)

    def attach(self) -> None:
        """A new session."""
        self.reports = []
        reports = self.reports
        self.executions.attach(lambda report: reports.append(as_message(report)))

    def kill_runner(self) -> int:
        pid = self.runner_pid
        os.kill(pid, signal.SIGKILL)
        return pid

    async def clean_up(self) -> None:
        """End everything, however the test went."""
        await self.stop()
        directory = self.data_dir / "runner"
        for pid in working_on(directory):
            kill(pid)
        await eventually(lambda: not any(is_alive(pid) for pid in working_on(directory)))
        leftovers.end_all(self.ids, {}, grace_seconds=0)

    # --- orders --------------------------------------------------------------------------------------------------

    def run(self, shell: str, *, execution_id: str = "", credit: int = ALL, **options: Any) -> str:
        """Order a line of shell and return the execution's id."""
        start = pb.StartExecution(shell=shell, credit=credit, **options)
        start.kill_after.FromTimedelta(timedelta(seconds=5))
        return self.order_start(start, execution_id=execution_id)

    def order_start(self, start: pb.StartExecution, *, execution_id: str = "") -> str:
        execution_id = execution_id or new_id()
        self.ids.add(execution_id)
        self.executions.receive(pb.ExecutionOrder(execution_id=execution_id, start=start))
        return execution_id

    def resume(self, execution_id: str, *, stdout: int = 0, stderr: int = 0, credit: int = ALL) -> None:
        resume = pb.ResumeExecution(stdout_offset=stdout, stderr_offset=stderr, credit=credit)
        self.executions.receive(pb.ExecutionOrder(execution_id=execution_id, resume=resume))

    def cancel(self, execution_id: str, *, kill_after: float = 5.0) -> None:
        stop = pb.StopExecution()
        stop.kill_after.FromTimedelta(timedelta(seconds=kill_after))
        self.executions.receive(pb.ExecutionOrder(execution_id=execution_id, stop=stop))

    def bring(self, execution_id: str, data: bytes, *, offset: int = 0, is_last: bool = False) -> None:
        chunk = command_pb2.StdinChunk(offset=offset, data=data, is_last=is_last)
        self.executions.receive(pb.ExecutionOrder(execution_id=execution_id, stdin=chunk))

    def resize(self, execution_id: str, columns: int, rows: int) -> None:
        size = command_pb2.Terminal(columns=columns, rows=rows)
        self.executions.receive(pb.ExecutionOrder(execution_id=execution_id, resize=size))

    def acknowledge(self, execution_id: str) -> None:
        self.executions.receive(pb.ExecutionOrder(execution_id=execution_id, acknowledge_end=pb.AcknowledgeEnd()))

    # --- what the session was told -------------------------------------------------------------------------------

    def told(self, execution_id: str, kind: str) -> list[pb.ExecutionReport]:
        return [
            report
            for report in self.reports
            if report.execution_id == execution_id and report.WhichOneof("report") == kind
        ]

    def output_of(self, execution_id: str, stream: command_pb2.OutputStream.ValueType = STDOUT) -> bytes:
        chunks = [report.output for report in self.told(execution_id, "output")]
        return b"".join(chunk.data for chunk in chunks if chunk.stream == stream)

    def wanted(self, execution_id: str) -> tuple[int, int]:
        """Offset and limit of the last word about its stdin."""
        said = self.told(execution_id, "stdin_wanted")
        return (said[-1].stdin_wanted.offset, said[-1].stdin_wanted.limit) if said else (0, 0)

    async def feed(self, execution_id: str, data: bytes, *, upto: int | None = None) -> None:
        """Bring bytes from where the node is, never more than it wants, up to the end or to some offset before."""
        await eventually(lambda: self.told(execution_id, "stdin_wanted"), what="the report of a wanted stdin")
        offset, end = self.wanted(execution_id)[0], len(data) if upto is None else upto
        while offset < end:
            limit = await self._limit_beyond(execution_id, offset)
            piece = data[offset : min(end, offset + 48 * 1024, limit)]
            self.bring(execution_id, piece, offset=offset, is_last=offset + len(piece) == len(data))
            offset += len(piece)

    async def _limit_beyond(self, execution_id: str, offset: int) -> int:
        await eventually(lambda: self.wanted(execution_id)[1] > offset, within=20, what="room for stdin")
        return self.wanted(execution_id)[1]

    async def started(self, execution_id: str) -> int:
        """Wait until it runs and return its pid."""
        await eventually(lambda: self.told(execution_id, "started"), what="the report of a start")
        return self.told(execution_id, "started")[0].started.pid

    async def output(self, execution_id: str, expected: bytes) -> None:
        await eventually(lambda: self.output_of(execution_id) == expected, what=f"the output {expected!r}")

    async def end(self, execution_id: str, *, within: float = 20.0) -> command_pb2.ExecutionEnd:
        await eventually(lambda: self.told(execution_id, "end"), within=within, what="the report of an end")
        return self.told(execution_id, "end")[0].end

    async def until(self, check: Callable[[], object], what: str, *, within: float = 10.0) -> None:
        await eventually(check, within=within, what=what)
