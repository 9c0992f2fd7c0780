"""What every section is given: the options, the report, and the means to start fleets and floors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tests.bench import bare, fleet
from tests.bench.databases import Databases
from tests.bench.figures import Report
from tests.bench.fleet import Fleet, Plan
from tests.bench.options import Options, Spawn

_REST_SECONDS = 0.5
"""Between two cases: what one of them leaves to be done must not be in the time of the next."""
Case = Callable[[], Awaitable[float | None]]


@dataclass(kw_only=True)
class Rig:
    """The surroundings of a section."""

    options: Options
    report: Report
    scratch: Path
    say: Callable[[str], None]
    databases: Databases

    def plan(self, nodes: int, *, spawn: Spawn, journal: bool) -> Plan:
        """A fleet of so many nodes at most; the options may say otherwise what it is made of."""
        return Plan(
            nodes=self.options.size(nodes),
            spawn=self.options.spawn or spawn,
            journal=journal if self.options.journal is None else self.options.journal,
        )

    @asynccontextmanager
    async def fleet(self, plan: Plan, *, database: Literal["sqlite", "postgres"] | None = None) -> AsyncIterator[Fleet]:
        """A running fleet."""
        chosen = database or self.options.database
        if chosen == "postgres":
            plan = replace(plan, database_url=self.databases.new())
        self.say(f"starting {plan.describe()}, {chosen}")
        self.report.note(f"{plan.describe()}, {chosen}")
        async with fleet.running(plan, self.scratch) as made:
            yield made

    @asynccontextmanager
    async def floor(self, nodes: int) -> AsyncIterator[bare.Floor]:
        """The bare fan-out with so many nodes."""
        self.say(f"starting the bare fan-out with {nodes} nodes")
        async with bare.running(nodes, self.scratch) as made:
            yield made

    async def in_turns(self, cases: Mapping[str, Case], *, rounds: int | None = None) -> None:
        """Run every case once per round, after one round that does not count. None: the case noted its own figures."""
        try:
            for number in range(1 + (rounds or self.options.rounds)):
                self.report.is_counting = number > 0
                for name, case in cases.items():
                    found = await case()
                    if found is not None:
                        self.report.add(name, found)
                    await asyncio.sleep(_REST_SECONDS)
                self.say(f"round {number} of {rounds or self.options.rounds}")
        finally:
            self.report.is_counting = True
