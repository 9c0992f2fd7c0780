"""Retention: one node's exec latency while a million old executions are removed, beside the same without that."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, func, insert, select
from sqlalchemy.engine import URL, make_url

from edge_server.commands.domain import Outcome, State
from edge_server.commands.models import CommandRow, ExecutionRow, OutputRow
from edge_server.db.engine import make_engine
from tests.bench import client
from tests.bench.fleet import Fleet
from tests.bench.rig import Rig
from tests.support.eventually import eventually

_PER_COMMAND = 100
_CALLS = 100
_BATCHES = 5
_OLD = timedelta(days=60)
_OUTPUT = b"one line of output\n"


async def run(rig: Rig) -> None:
    """Measure it."""
    async with rig.fleet(rig.plan(1, spawn="real", journal=True)) as fleet:
        engine = make_engine(_url(fleet), pool_size=1)
        try:
            rig.say(f"storing {rig.options.old_executions} old executions")
            await asyncio.to_thread(_store, engine, rig.options.old_executions)
            await _measure(rig, fleet, engine)
        finally:
            engine.dispose()


async def _measure(rig: Rig, fleet: Fleet, engine: Engine) -> None:
    rig.report.is_counting = True
    for _ in range(_BATCHES):
        await _calls(rig, fleet, "at_rest")
    await fleet.kill_admin()  # what is old is looked for at a start
    await fleet.start_admin()
    await fleet.wait_for_admin()
    await eventually(lambda: _comes_back(fleet), within=60.0, what="the node is back")
    clock = asyncio.get_running_loop().time
    before = left = await _count(engine)
    began, batches = clock(), 0
    while left > before // 100 or batches == 0:
        await _calls(rig, fleet, "while_rows_go")
        batches += 1
        left = await _count(engine)
        rig.say(f"{left} old executions are left")
    rig.report.add("retention.rows_removed_per_second", (before - left) / (clock() - began), "rows/s")
    rig.report.compare("retention_p99", "retention.p99_while_rows_go", "retention.p99_at_rest")


async def _calls(rig: Rig, fleet: Fleet, when: str) -> None:
    """A hundred calls one after the other, and the slowest but one of them."""
    timings = [(await client.execute(fleet.admin, 1)).to_last_end * 1000 for _ in range(_CALLS)]
    rig.report.add_all(f"retention.exec_{when}", timings, "ms")
    rig.report.add(f"retention.p99_{when}", statistics.quantiles(timings, n=100, method="inclusive")[98], "ms")


async def _comes_back(fleet: Fleet) -> bool:
    try:
        await client.execute(fleet.admin, 1)
    except Exception:  # not yet
        return False
    return True


async def _count(engine: Engine) -> int:
    """Old executions that are there: what the calls meanwhile leave behind is not one of them."""

    def work() -> int:
        old = select(func.count()).select_from(ExecutionRow).where(ExecutionRow.cluster_id == "bench")
        with engine.connect() as connection:
            return int(connection.scalar(old) or 0)

    return await asyncio.to_thread(work)


def _url(fleet: Fleet) -> URL:
    if fleet.plan.database_url:
        return make_url(fleet.plan.database_url)
    return URL.create("sqlite", database=str(fleet.directory / "admin" / "edge-server.db"))


def _store(engine: Engine, count: int) -> None:
    """Commands that were over sixty days ago, with a line of output of each execution."""
    over_at = datetime.now(UTC) - _OLD
    for _ in range(-(-count // (100 * _PER_COMMAND))):
        commands = [str(uuid4()) for _ in range(100)]
        executions = list(_executions(commands, over_at))
        outputs = [
            {"execution_id": row["id"], "stream": "stdout", "codec": "", "head": _OUTPUT, "tail": b"", "tail_offset": 0}
            for row in executions
        ]
        with engine.execution_options(write=True).begin() as connection:
            connection.execute(insert(CommandRow), [_command(command_id, over_at) for command_id in commands])
            connection.execute(insert(ExecutionRow), executions)
            connection.execute(insert(OutputRow), outputs)


def _command(command_id: str, over_at: datetime) -> dict[str, Any]:
    return {
        "id": command_id,
        "principal_id": "bench",
        "principal_name": "bench",
        "request_id": command_id,
        "request_hash": b"",
        "spec": b"",
        "admin_id": "bench",
        "created_at": over_at,
        "finished_at": over_at,
    }


def _executions(commands: list[str], over_at: datetime) -> Iterator[dict[str, Any]]:
    for command_id in commands:
        for place in range(_PER_COMMAND):
            yield {
                "id": str(uuid4()),
                "command_id": command_id,
                "position": place,
                "node_id": f"node-{place}",
                "node_name": f"node-{place}",
                "cluster_id": "bench",
                "cluster_name": "bench",
                "state": State.ENDED,
                "outcome": Outcome.OK,
                "ended_at": over_at,
            }
