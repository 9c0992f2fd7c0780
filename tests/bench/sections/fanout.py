"""Fan-out: 100 nodes beside the peers, 1,000 beside the bare fan-out and the spawn floor, 10,000 beside 1,000."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

from tests.bench import client, peers
from tests.bench.bare import Floor
from tests.bench.fleet import Fleet
from tests.bench.floors import spawn_seconds
from tests.bench.processes import Failed, cpu_seconds
from tests.bench.rig import Case, Rig

_AFTERMATH_SECONDS = 6.5
"""Acknowledgements wait five seconds for company, and what nodes then forget another one: that belongs to its case."""
_FEW = 10
"""So few nodes leave nothing to speak of."""


async def hundred(rig: Rig) -> None:
    """100 nodes that really start a process, from a running client and as a whole process; the peers beside it."""
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(rig.fleet(rig.plan(100, spawn="real", journal=True)))
        count = fleet.plan.nodes
        words = ("exec", "--all", "--fanout", "100%", "--view", "summary", "--", "/bin/true")
        cases: dict[str, Case] = {
            "fanout100.running_client": _fan_out(rig, "fanout100", fleet),
            "fanout100.edgectl_process": _edgectl(fleet, *words),
            "fanout100.spawn_floor": _spawn_floor(count),
        }
        if rig.options.has_peers:
            cases |= await _peer_cases(rig, stack, count)
        rig.report.compare("vs_spawn_floor_100", "fanout100.running_client", "fanout100.spawn_floor")
        for name in (name for name in cases if name.startswith("peer.")):
            short = name.removeprefix("peer.")
            rig.report.compare(f"vs_{short}", name, "fanout100.running_client")
            rig.report.compare(f"edgectl_process_vs_{short}", name, "fanout100.edgectl_process")
        await rig.in_turns(cases)


async def thousand(rig: Rig) -> None:
    """1,000 nodes: without processes beside the bare fan-out, with processes beside starting them alone."""
    async with AsyncExitStack() as stack:
        null = await stack.enter_async_context(rig.fleet(rig.plan(1000, spawn="null", journal=False)))
        kept = await stack.enter_async_context(rig.fleet(rig.plan(1000, spawn="null", journal=True)))
        real = await stack.enter_async_context(rig.fleet(rig.plan(1000, spawn="real", journal=True)))
        count = null.plan.nodes
        floor = await stack.enter_async_context(rig.floor(count))
        rig.report.compare(f"vs_bare_grpc_{count}", "fanout1000.null", "fanout1000.bare_grpc")
        rig.report.compare(f"vs_spawn_floor_{count}", "fanout1000.real", "fanout1000.spawn_floor")
        await rig.in_turns(
            {
                "fanout1000.null": _fan_out(rig, "fanout1000.null", null),
                "fanout1000.bare_grpc": _fan_out(rig, "fanout1000.bare_grpc", floor),
                "fanout1000.null_with_journal": _fan_out(rig, "fanout1000.null_with_journal", kept),
                "fanout1000.real": _fan_out(rig, "fanout1000.real", real),
                "fanout1000.spawn_floor": _spawn_floor(count),
            }
        )
    rig.report.note("all journals of a fleet are on one disk here, each with its own fsyncs; real nodes have their own")


async def ten_thousand(rig: Rig) -> None:
    """The most nodes without processes, and 1,000 in the same rounds: what one node costs in each."""
    async with AsyncExitStack() as stack:
        small = await stack.enter_async_context(rig.fleet(rig.plan(1000, spawn="null", journal=False)))
        large = await stack.enter_async_context(rig.fleet(rig.plan(10_000, spawn="null", journal=False)))
        name = f"per_node_{large.plan.nodes}_vs_{small.plan.nodes}"
        scale = small.plan.nodes / large.plan.nodes
        rig.report.compare(name, "fanout10000.null", "fanout10000.1000_beside", scale=scale)
        await rig.in_turns(
            {
                "fanout10000.1000_beside": _fan_out(rig, "fanout10000.1000_beside", small),
                "fanout10000.null": _fan_out(rig, "fanout10000.null", large),
            }
        )


def _fan_out(rig: Rig, name: str, fleet: Fleet | Floor) -> Callable[[], Awaitable[float]]:
    """One command on all nodes; notes processor time beside the seconds it takes, with what is done afterwards."""
    count = fleet.nodes

    async def case() -> float:
        before = cpu_seconds([fleet.admin_pid]), cpu_seconds(fleet.host_pids)
        timing = await client.execute(fleet.admin, count)
        await _let_it_settle(count)
        admin = cpu_seconds([fleet.admin_pid]) - before[0]
        nodes = cpu_seconds(fleet.host_pids) - before[1]
        rig.report.add(f"{name}.admin_cpu_per_node", admin / count * 1e6, "us")
        rig.report.add(f"{name}.agents_cpu_per_node", nodes / count * 1e6, "us")
        return timing.to_finish

    return case


def _edgectl(fleet: Fleet, *words: str) -> Callable[[], Awaitable[float]]:
    async def case() -> float:
        seconds = await client.run_edgectl(fleet, *words)
        await _let_it_settle(fleet.nodes)
        return seconds

    return case


async def _let_it_settle(nodes: int) -> None:
    if nodes > _FEW:
        await asyncio.sleep(_AFTERMATH_SECONDS)


def _spawn_floor(count: int) -> Callable[[], Awaitable[float]]:
    async def case() -> float:
        return spawn_seconds(count)

    return case


async def _peer_cases(rig: Rig, stack: AsyncExitStack, count: int) -> dict[str, Case]:
    try:
        found = await stack.enter_async_context(peers.running(count, rig.scratch))
    except Failed as failure:
        rig.report.note(f"no peers: {failure}")
        return {}
    for missing in found.missing:
        rig.report.note(f"left out: {missing}")
    return {f"peer.{peer.name}": partial(found.run, peer) for peer in found.usable}
