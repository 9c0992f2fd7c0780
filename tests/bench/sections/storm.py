"""A fleet comes back after an outage: the admin is killed, stays away, and starts again on the same port."""

from __future__ import annotations

import asyncio
import time

from edge_agent.dial import STEADY_AFTER_SECONDS
from tests.bench import client
from tests.bench.fleet import Fleet
from tests.bench.processes import Failed
from tests.bench.rig import Rig

_BACK_WITHIN = 120.0
_STEADY_SECONDS = STEADY_AFTER_SECONDS + 1.0
"""Before an outage: to an agent those between which no session lasted are one, and the waits grow with it. Before one
of a moment, as tests have it, there is nothing to grow."""
_SHARES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
_TIMES_LONGER = 6
"""After an outage so many times as long as the others, the nodes' own waits have grown."""


async def thousand(rig: Rig) -> None:
    """Seconds from the moment the admin listens again until everybody is back; the last outage is a long one."""
    async with rig.fleet(rig.plan(1000, spawn="null", journal=False)) as fleet:
        for number in range(max(3, min(rig.options.rounds, 5))):
            await _come_back(rig, fleet, "storm", number, rig.options.outage)
        await _come_back(rig, fleet, "storm.long", 0, _TIMES_LONGER * rig.options.outage)


async def ten_thousand(rig: Rig) -> None:
    """The same with the most nodes, twice."""
    async with rig.fleet(rig.plan(10_000, spawn="null", journal=False)) as fleet:
        for number in range(2):
            await _come_back(rig, fleet, f"storm{fleet.plan.nodes}", number, rig.options.outage)


async def _come_back(rig: Rig, fleet: Fleet, name: str, number: int, outage: float) -> None:
    """One outage, after which a command reaches every node."""
    await asyncio.sleep(min(_STEADY_SECONDS, 10 * rig.options.outage))
    seconds = await _outage(fleet, outage)
    for share in (0.5, 0.9, 1.0):
        rig.report.add(f"{name}.back_{share:.0%}", _at(seconds, share))
    rig.report.curve(f"{name}.{number}.share_back_over_seconds", [(_at(seconds, part), part) for part in _SHARES])
    rig.say(f"{name}, outage {number + 1} of {outage:g} s: all back after {seconds[-1]:.2f} s")
    await client.execute(fleet.admin, fleet.plan.nodes)


async def _outage(fleet: Fleet, outage: float) -> list[float]:
    await fleet.kill_admin()
    await asyncio.sleep(outage)
    started = time.monotonic()
    await fleet.start_admin()
    await fleet.wait_for_admin()
    listening = time.monotonic()
    deadline = listening + _BACK_WITHIN
    while time.monotonic() < deadline:
        moments = await fleet.welcomes()
        if min(moments) > started:
            return sorted(max(0.0, moment - listening) for moment in moments)
        await asyncio.sleep(0.2)
    back = sum(1 for moment in moments if moment > started)
    raise Failed(f"after {_BACK_WITHIN:.0f} s {back} of {fleet.plan.nodes} nodes are back")


def _at(seconds: list[float], share: float) -> float:
    return seconds[max(0, round(share * len(seconds)) - 1)]
