"""Memory: of the admin per idle session, of one agent with its runner, and of the admin over many executions."""

from __future__ import annotations

import json

from tests.bench import client
from tests.bench.fleet import Fleet
from tests.bench.processes import memory_parts, resident_kib
from tests.bench.rig import Rig

_STEP = 20
"""Points of the curve over many executions."""


async def idle(rig: Rig) -> None:
    """One idle session in the admin; one agent and its runner at rest."""
    async with rig.fleet(rig.plan(1000, spawn="null", journal=False)) as fleet:
        await client.execute(fleet.admin, fleet.plan.nodes)
        after = resident_kib(fleet.admin_pid)
    async with rig.fleet(rig.plan(1, spawn="null", journal=False)) as one:
        await client.execute(one.admin, 1)
        before = resident_kib(one.admin_pid)
        rig.report.add("memory.admin_with_one_session", before, "KiB")
        await _agent_program(rig, one)
    if fleet.plan.nodes > 1:
        rig.report.add("memory.admin_per_session", (after - before) / (fleet.plan.nodes - 1), "KiB")


async def flatness(rig: Rig) -> None:
    """Resident memory of the admin over many executions."""
    async with rig.fleet(rig.plan(100, spawn="null", journal=False)) as fleet:
        rounds = max(_STEP, rig.options.executions // fleet.plan.nodes)
        points: list[tuple[float, float]] = []
        for number in range(1, rounds + 1):
            await client.execute(fleet.admin, fleet.plan.nodes)
            if number % (rounds // _STEP) == 0:
                points.append((number * fleet.plan.nodes, resident_kib(fleet.admin_pid) / 1024))
                rig.report.curve("flatness.admin_mib_over_executions", points)
                rig.say(f"{number * fleet.plan.nodes} executions, {points[-1][1]:.0f} MiB")
        half = len(points) // 2
        rig.report.add("flatness.growth_over_second_half", points[-1][1] - points[half][1], "MiB")


async def _agent_program(rig: Rig, fleet: Fleet) -> None:
    """A real `edge-agent run` as a process of its own, and its runner. Not the first one of its node, which enrolls."""
    directory = fleet.directory / "real"
    environ = {"DATA_DIR": str(directory), "NODE_ALIAS": "real", "ENROLLMENT_KEY": await fleet.new_key(1)}
    first = await fleet.start_agent("first.log", environ)
    await first.stop()
    program = await fleet.start_agent("real.log", environ)
    try:
        await client.execute(fleet.admin, fleet.plan.nodes + 1)
        runner = int(json.loads((directory / "runner" / "pid").read_text())["pid"])
        for name, pid in (("agent", program.process.pid), ("runner", runner)):
            for part, kib in memory_parts(pid).items():
                rig.report.add(f"memory.{name}.{part.lower()}", kib / 1024, "MiB")
        both = resident_kib(program.process.pid) + resident_kib(runner)
        rig.report.add("memory.agent_and_runner_resident", both / 1024, "MiB")
    finally:
        await program.stop()
