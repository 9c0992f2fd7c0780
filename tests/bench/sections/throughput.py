"""Ten commands at once on 100 nodes: SQLite beside PostgreSQL, and the nodes' journal on beside off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from tests.bench import client
from tests.bench.fleet import Fleet, Plan
from tests.bench.options import Spawn
from tests.bench.rig import Rig

_COMMANDS = 10
_NODES = 100
_SPAWNS: tuple[Spawn, ...] = ("real", "null")


async def databases(rig: Rig) -> None:
    """The admin on each database."""
    if not rig.databases.is_installed:
        rig.report.note("left out: PostgreSQL's server is not installed")
        return
    plan = rig.plan(_NODES, spawn="null", journal=False)
    async with AsyncExitStack() as stack:
        sqlite = await stack.enter_async_context(rig.fleet(plan, database="sqlite"))
        postgres = await stack.enter_async_context(rig.fleet(plan, database="postgres"))
        rig.report.compare("postgres_vs_sqlite", "databases.postgres", "databases.sqlite")
        await rig.in_turns({"databases.sqlite": _ten(sqlite), "databases.postgres": _ten(postgres)})


async def journal(rig: Rig) -> None:
    """The nodes with and without their journal: with processes, and without, where it weighs most."""
    for spawn in _SPAWNS:
        rig.report.compare(f"journal_on_throughput_{spawn}", f"journal.{spawn}_off", f"journal.{spawn}_on")
    async with AsyncExitStack() as stack:
        cases = {}
        for spawn in _SPAWNS:
            for word, is_on in (("on", True), ("off", False)):
                plan = Plan(nodes=rig.options.size(_NODES), spawn=spawn, journal=is_on)
                cases[f"journal.{spawn}_{word}"] = _ten(await stack.enter_async_context(rig.fleet(plan)))
        await rig.in_turns(cases)


def _ten(fleet: Fleet) -> Callable[[], Awaitable[float]]:
    async def case() -> float:
        began = time.perf_counter()
        await asyncio.gather(*(client.execute(fleet.admin, fleet.plan.nodes) for _ in range(_COMMANDS)))
        return time.perf_counter() - began

    return case
