"""A command on 500 nodes, half way: where tests take something away, and what must be true in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edge_wire.v1 import command_pb2
from tests.edge_server.crowd import Crowd, Watched, a_crowd, watch
from tests.edge_server.scripted_node import executions_of, run_on
from tests.support.eventually import eventually
from tests.support.harness import Installation

NODES = 500
EVERYONE = "n[000-499]"
FANOUT = 200
STORED_BEFORE = 100


class Scene:
    """A command on all nodes, watched, of which some ends are stored and many processes run."""

    def __init__(self, site: Installation, crowd: Crowd, command_id: str) -> None:
        self.site, self.crowd, self.command_id = site, crowd, command_id
        self.watching: asyncio.Task[Watched] = asyncio.create_task(watch(site, command_id))

    async def report_all_that_runs(self) -> None:
        """Every node that was told to start reports its end, which may be stored or not."""

        def is_all_reported() -> bool:
            running = self.crowd.starts.total() - self.crowd.reported.total()
            self.crowd.let_end(running)  # each time: what could be stored all the same makes place for others
            return running == 0

        await eventually(is_all_reported, within=60, what="every report")

    async def nothing_is_lost(self) -> None:
        """Let everything end, and compare what was reported with what is stored and what was watched."""
        self.crowd.let_all_end()
        heard = await asyncio.wait_for(self.watching, 90)
        stored = await executions_of(self.site, self.command_id)
        true_codes = {node.name: node.exit_code for node in self.crowd.nodes}
        ids = {execution.id: name for name, execution in stored.items()}
        assert {name: one.end.exit_code for name, one in stored.items()} == true_codes
        assert heard.finished is not None
        assert heard.finished.counts == command_pb2.OutcomeCounts(
            total=NODES, ok=sum(code == 0 for code in true_codes.values()), failed=sum(map(bool, true_codes.values()))
        )
        assert {ids[one]: [end.exit_code for end in ends] for one, ends in heard.ends.items()} == {
            name: [code] for name, code in true_codes.items()
        }
        assert ({ids[one]: text for one, text in heard.output.items()}, heard.gaps) == (
            {name: f"from {name}".encode() for name in true_codes},
            0,
        )
        assert {one: times for one, times in self.crowd.starts.items() if one in ids} == dict.fromkeys(ids, 1)
        await eventually(lambda: ids.keys() <= self.crowd.acknowledged.keys(), within=30, what="every acknowledgement")
        assert self.crowd.failures() == []


@asynccontextmanager
async def a_scene(site: Installation) -> AsyncIterator[Scene]:
    """The first ends are stored and acknowledged, and as many nodes as the fan-out allows run."""
    async with a_crowd(site, NODES) as crowd:
        created = await run_on(site, EVERYONE, shell="true", fanout=command_pb2.Portion(count=FANOUT))
        scene = Scene(site, crowd, created.command_id)
        crowd.let_end(STORED_BEFORE)
        await eventually(
            lambda: len(crowd.acknowledged) == STORED_BEFORE and sum(crowd.starts.values()) == STORED_BEFORE + FANOUT,
            within=60,
            what="the first ends are stored and the next nodes have started",
        )
        yield scene
