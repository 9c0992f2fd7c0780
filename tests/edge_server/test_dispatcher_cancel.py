"""Cancelling and deleting at a real admin, wherever an execution stands: pending, sent, running, on a node or none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from edge_wire import calls
from edge_wire.v1 import command_pb2, node_pb2
from edge_wire.v1 import session_pb2 as pb
from tests.edge_server.scripted_node import (
    Line,
    ScriptedNode,
    a_node,
    cancel,
    ended,
    executions_of,
    ok,
    outcome_word,
    outcomes_of,
    run_on,
)
from tests.support.harness import Installation

ONE_AT_A_TIME = command_pb2.Portion(count=1)
CANCELLED = command_pb2.ExecutionEnd(outcome=command_pb2.OUTCOME_CANCELLED)


@dataclass
class Three:
    """Three nodes with sessions, in the order in which commands are handed to them."""

    nodes: list[ScriptedNode]
    lines: list[Line]


@pytest.fixture
async def three(site: Installation) -> AsyncIterator[Three]:
    async with a_node(site, "edge01") as one, a_node(site, "edge02") as two, a_node(site, "edge03") as last:
        nodes = [one, two, last]
        yield Three(nodes, [await node.open() for node in nodes])


async def everywhere(site: Installation, **spec: object) -> command_pb2.CreateCommandResponse:
    return await run_on(site, "edge01", "edge02", "edge03", **{"shell": "true", **spec})


async def delete(site: Installation, name: str) -> None:
    async with site.operator() as admin:
        await admin.call(admin.nodes.Delete, node_pb2.DeleteNodeRequest(node=name))


async def test_a_cancel_reaches_each_execution_where_it_stands(site: Installation, three: Three) -> None:
    created = await everywhere(site, fanout=command_pb2.Portion(count=2))
    running, sent, _ = (target.execution_id for target in created.targets)
    await three.lines[0].ordered("start", running)
    await three.lines[1].ordered("start", sent)
    await three.lines[0].report(running, started=pb.ExecutionStarted(pid=1))
    await three.lines[0].answered()
    assert await cancel(site, created.command_id) == (1, 2)
    for line, execution_id in zip(three.lines, (running, sent), strict=False):
        assert (await line.ordered("stop", execution_id)).stop.kill_after.seconds == 10
        await line.report(execution_id, end=CANCELLED)
    assert await ended(site, created.command_id) == {
        "edge01": "cancelled",
        "edge02": "cancelled",
        "edge03": "not_started",
    }
    await three.lines[2].answered()
    assert three.lines[2].order_kinds("") in ([], ["acknowledge_end"])


async def test_a_process_that_ended_well_before_its_cancel_is_ok(site: Installation, three: Three) -> None:
    created = await run_on(site, "edge01", shell="true")
    execution_id = created.targets[0].execution_id
    await three.lines[0].ordered("start", execution_id)
    await cancel(site, created.command_id)
    await three.lines[0].report(execution_id, end=ok())
    assert await ended(site, created.command_id) == {"edge01": "ok"}


async def test_cancelling_twice_and_after_the_end_changes_nothing(site: Installation, three: Three) -> None:
    created = await everywhere(site, fanout=ONE_AT_A_TIME)
    first = created.targets[0].execution_id
    await three.lines[0].ordered("start", first)
    assert await cancel(site, created.command_id) == (2, 1)
    assert await cancel(site, created.command_id) == (0, 1)
    await three.lines[0].report(first, end=CANCELLED)
    outcomes = await ended(site, created.command_id)
    assert await cancel(site, created.command_id) == (0, 0)
    assert await outcomes_of(site, created.command_id) == outcomes


async def test_the_next_one_starts_only_when_the_one_before_is_over_and_stored(
    site: Installation, three: Three
) -> None:
    created = await everywhere(site, fanout=ONE_AT_A_TIME)
    ids = [target.execution_id for target in created.targets]
    for place, line in enumerate(three.lines):
        await line.ordered("start", ids[place])
        for later in three.lines[place + 1 :]:
            await later.answered()
            assert later.order_kinds() == []
        await line.report(ids[place], end=ok())
    assert set((await ended(site, created.command_id)).values()) == {"ok"}


async def test_a_node_deleted_while_it_runs_is_lost_and_while_it_waits_dropped(
    site: Installation, three: Three
) -> None:
    created = await everywhere(site, fanout=ONE_AT_A_TIME)
    await three.lines[0].ordered("start")
    await three.lines[0].report(created.targets[0].execution_id, started=pb.ExecutionStarted(pid=1))
    await three.lines[0].answered()
    await delete(site, "edge03")
    await delete(site, "edge01")
    assert (await three.lines[0].goodbye()).code == "node_deleted"
    await three.lines[1].ordered("start")
    await three.lines[1].report(created.targets[1].execution_id, end=ok())
    assert await ended(site, created.command_id) == {"edge01": "lost", "edge02": "ok", "edge03": "dropped"}
    async with site.operator() as admin:
        shown = await admin.call(admin.commands.Get, command_pb2.GetCommandRequest(command_id=created.command_id))
    assert shown.command.HasField("finished_at")


async def test_whoever_watches_hears_at_once_that_the_node_was_deleted(site: Installation, three: Three) -> None:
    await site.admin._jobs.stop()  # what comes every few seconds must not be what tells it
    created = await run_on(site, "edge01", shell="true")
    await three.lines[0].ordered("start")
    await three.lines[0].report(created.targets[0].execution_id, started=pb.ExecutionStarted(pid=1))
    await three.lines[0].answered()
    async with site.operator() as admin:
        request = command_pb2.WatchCommandRequest(command_id=created.command_id)
        watching = calls.stream(admin.commands.Watch, request, token=admin.token)
        await anext(watching)
        await delete(site, "edge01")
        async with asyncio.timeout(2.0):
            told = [event.end async for response in watching for event in response.events if event.HasField("end")]
    assert [outcome_word(end) for end in told] == ["lost"]


async def test_what_a_deleted_node_still_says_is_not_taken_for_its_outcome(site: Installation, three: Three) -> None:
    created = await run_on(site, "edge01", shell="true")
    execution_id = created.targets[0].execution_id
    await three.lines[0].ordered("start")
    await three.lines[0].report(execution_id, started=pb.ExecutionStarted(pid=1))
    await three.lines[0].answered()
    async with site.operator() as admin:
        await admin.call(admin.nodes.Delete, node_pb2.DeleteNodeRequest(node="edge01"))
    assert await ended(site, created.command_id) == {"edge01": "lost"}
    end = (await executions_of(site, created.command_id))["edge01"].end
    assert outcome_word(end) == "lost"
