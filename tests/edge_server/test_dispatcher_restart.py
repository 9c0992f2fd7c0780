"""An admin that stops or starts in the middle of a fan-out: what had not started waits, and nothing is made up."""

from __future__ import annotations

import asyncio

from edge_wire.v1 import command_pb2
from edge_wire.v1 import session_pb2 as pb
from tests.edge_server.scripted_node import a_node, ended, held_database, ok, outcomes_of, run_on
from tests.support.harness import Installation

ONE_AT_A_TIME = command_pb2.Portion(count=1)


async def test_an_admin_that_stops_calls_no_node_offline(bare: Installation) -> None:
    """The database is held, so that the first end is stored after the sessions were told goodbye."""
    await bare.start_admin(reconnect_grace_seconds=0)
    async with a_node(bare, "edge01") as one, a_node(bare, "edge02") as two:
        lines = [await one.open(), await two.open()]
        created = await run_on(bare, "edge01", "edge02", shell="true", fanout=ONE_AT_A_TIME)
        execution_id = (await lines[0].ordered("start")).execution_id
        with held_database(bare):
            await lines[0].report(execution_id, end=ok())
            await lines[0].answered()
            restarting = asyncio.create_task(bare.restart_admin())
            for line in lines:
                assert (await line.goodbye()).code == "shutting_down"
        await restarting
        assert await outcomes_of(bare, created.command_id) == {"edge01": "ok", "edge02": ""}
        await one.open()
        line = await two.open()
        started = await line.ordered("start")
        await line.report(started.execution_id, end=ok())
        assert await ended(bare, created.command_id) == {"edge01": "ok", "edge02": "ok"}


async def test_a_fan_out_goes_on_where_it_was_with_the_same_ids(site: Installation) -> None:
    async with a_node(site, "edge01") as one, a_node(site, "edge02") as two, a_node(site, "edge03") as last:
        lines = [await node.open() for node in (one, two, last)]
        created = await run_on(site, "edge01", "edge02", "edge03", shell="true", fanout=ONE_AT_A_TIME)
        ids = [target.execution_id for target in created.targets]
        await lines[0].ordered("start", ids[0])
        await lines[0].report(ids[0], end=ok())
        await lines[1].ordered("start", ids[1])
        await lines[1].report(ids[1], started=pb.ExecutionStarted(pid=1))
        await lines[1].answered()
        await site.restart_admin()
        known = pb.ExecutionInventory(execution_id=ids[1], started=True)
        lines = [await last.open(), await one.open(), await two.open(executions=[known])]
        await lines[2].ordered("resume", ids[1])
        assert lines[0].order_kinds() == []
        await lines[2].report(ids[1], end=ok())
        await lines[0].ordered("start", ids[2])
        await lines[0].report(ids[2], end=ok())
        assert set((await ended(site, created.command_id)).values()) == {"ok"}
        assert lines[1].order_kinds() == []


async def test_after_the_grace_a_node_that_did_not_come_back_holds_nobody_up(bare: Installation) -> None:
    await bare.start_admin()
    async with a_node(bare, "edge01") as one, a_node(bare, "edge02") as two:
        lines = [await one.open(), await two.open()]
        created = await run_on(bare, "edge01", "edge02", shell="true", fanout=ONE_AT_A_TIME)
        await lines[0].ordered("start")
        await bare.restart_admin(reconnect_grace_seconds=0.5)
        line = await two.open()
        assert await outcomes_of(bare, created.command_id) == {"edge01": "", "edge02": ""}
        # What was handed to the first one may run there: only that node can end it.
        back = await one.open()
        started = await back.ordered("start")
        await back.report(started.execution_id, end=ok())
        await line.ordered("start")
        await line.report(created.targets[1].execution_id, end=ok())
        assert set((await ended(bare, created.command_id)).values()) == {"ok"}


async def test_what_waited_for_a_node_that_stays_away_is_offline_after_the_grace(bare: Installation) -> None:
    await bare.start_admin()
    async with a_node(bare, "edge01") as one, a_node(bare, "edge02") as two:
        lines = [await one.open(), await two.open()]
        created = await run_on(bare, "edge01", "edge02", shell="true", fanout=ONE_AT_A_TIME)
        execution_id = (await lines[0].ordered("start")).execution_id
        await bare.restart_admin(reconnect_grace_seconds=0.5)
        back = await one.open()
        await back.ordered("start", execution_id)
        await back.report(execution_id, end=ok())
        assert await ended(bare, created.command_id) == {"edge01": "ok", "edge02": "offline"}


async def test_a_command_that_was_cancelled_stays_so_over_a_restart(site: Installation) -> None:
    async with a_node(site, "edge01") as one, a_node(site, "edge02") as two:
        line = await one.open()
        await two.open()
        created = await run_on(site, "edge01", "edge02", shell="true", fanout=ONE_AT_A_TIME)
        execution_id = (await line.ordered("start")).execution_id
        async with site.operator() as admin:
            request = command_pb2.CancelCommandRequest(command_id=created.command_id)
            await admin.call(admin.commands.Cancel, request)
        await site.restart_admin()
        again = await one.open(executions=[pb.ExecutionInventory(execution_id=execution_id, started=True)])
        await again.ordered("stop", execution_id)
        await again.report(execution_id, end=command_pb2.ExecutionEnd(outcome=command_pb2.OUTCOME_CANCELLED))
        assert await ended(site, created.command_id) == {"edge01": "cancelled", "edge02": "not_started"}


async def test_a_restart_forgets_no_output_that_was_told_before(site: Installation) -> None:
    """Output of what runs is in memory only; after a restart the node is asked for it again from the first byte."""
    async with a_node(site, "edge01") as node:
        line = await node.open()
        created = await run_on(site, "edge01", shell="true")
        execution_id = (await line.ordered("start")).execution_id
        await line.report(execution_id, started=pb.ExecutionStarted(pid=1))
        chunk = command_pb2.OutputChunk(stream=command_pb2.OUTPUT_STREAM_STDOUT, data=b"hello")
        await line.report(execution_id, output=chunk)
        await line.answered()
        await site.restart_admin()
        again = await node.open(executions=[pb.ExecutionInventory(execution_id=execution_id, started=True)])
        assert (await again.ordered("resume", execution_id)).resume.stdout_offset == 0
        await again.report(execution_id, output=chunk)
        await again.report(execution_id, end=ok(stdout_bytes=5))
        assert await ended(site, created.command_id) == {"edge01": "ok"}
