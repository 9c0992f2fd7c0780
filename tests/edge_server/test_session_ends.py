"""How a session ends at a real admin: goodbyes, silence, broken streams, and nodes that change or go meanwhile."""

from __future__ import annotations

from edge_wire.errors import Unauthenticated
from edge_wire.v1 import cluster_pb2, node_pb2
from edge_wire.v1 import session_pb2 as pb
from tests.edge_server.scripted_node import (
    UNKNOWN_KIND,
    ScriptedNode,
    a_node,
    ended,
    executions_of,
    held_database,
    ok,
    run_on,
)
from tests.support.eventually import eventually
from tests.support.harness import Installation

ONLINE, OFFLINE = node_pb2.NODE_STATUS_ONLINE, node_pb2.NODE_STATUS_OFFLINE


async def delete(site: Installation, name: str) -> None:
    async with site.operator() as admin:
        await admin.call(admin.nodes.Delete, node_pb2.DeleteNodeRequest(node=name))


async def test_a_goodbye_of_the_node_closes_the_stream_without_an_error(site: Installation) -> None:
    async with a_node(site, "edge01") as node:
        line = await node.open()
        await line.say(goodbye=pb.Goodbye(code="shutting_down"))
        assert await line.over() is None
        await site.wait_status("edge01", OFFLINE)


async def test_the_admin_answers_a_goodbye_with_its_own(site: Installation) -> None:
    async with a_node(site, "edge01") as node:
        line = await node.open()
        await line.say(goodbye=pb.Goodbye(code="shutting_down"))
        await line.over()
        assert line.kinds()[-1] == "goodbye"


async def test_what_was_reported_before_a_goodbye_counts(site: Installation) -> None:
    async with a_node(site, "edge01") as node:
        line = await node.open()
        created = await run_on(site, "edge01", shell="true")
        execution_id = (await line.ordered("start")).execution_id
        await line.report(execution_id, end=ok())
        await line.say(goodbye=pb.Goodbye(code="shutting_down"))
        assert await ended(site, created.command_id) == {"edge01": "ok"}


async def test_an_admin_that_leaves_says_so_in_its_last_frame(site: Installation) -> None:
    async with a_node(site, "edge01") as node:
        line = await node.open()
        await site.restart_admin()
        assert (await line.goodbye()).code == "shutting_down"
        assert line.failure is None


async def test_a_stream_that_breaks_ends_the_session_but_not_what_runs(site: Installation) -> None:
    async with a_node(site, "edge01") as node:
        line = await node.open()
        created = await run_on(site, "edge01", shell="true")
        execution_id = (await line.ordered("start")).execution_id
        await line.report(execution_id, started=pb.ExecutionStarted(pid=1))
        await line.cut()
        await site.wait_status("edge01", OFFLINE)
        again = await node.open(executions=[pb.ExecutionInventory(execution_id=execution_id, started=True)])
        await again.ordered("resume", execution_id)
        await again.report(execution_id, end=ok())
        assert await ended(site, created.command_id) == {"edge01": "ok"}


async def test_a_silent_node_is_asked_and_then_dead(bare: Installation) -> None:
    await bare.start_admin(ping_interval_seconds=0.1, ping_dead_after_seconds=0.5)
    async with a_node(bare, "edge01") as node:
        line = await node.open(answers_pings=False)
        assert await line.over() is None
        assert line.kinds().count("ping") >= 3
        assert "goodbye" not in line.kinds()
        await bare.wait_status("edge01", OFFLINE)


async def test_a_node_that_answers_lives_however_little_it_says(bare: Installation) -> None:
    await bare.start_admin(ping_interval_seconds=0.05, ping_dead_after_seconds=0.4)
    async with a_node(bare, "edge01") as node:
        line = await node.open()
        await eventually(lambda: line.kinds().count("ping") >= 20, what="twenty pings")
        nonces = [frame.ping.nonce for frame in line.frames if frame.HasField("ping")]
        assert nonces == sorted(set(nonces))
        assert not line.is_over
        await bare.wait_status("edge01", ONLINE)


async def test_a_node_that_is_dead_while_orders_come_is_dead_all_the_same(bare: Installation) -> None:
    await bare.start_admin(ping_interval_seconds=0.2, ping_dead_after_seconds=0.6)
    async with a_node(bare, "edge01") as node:
        line = await node.open(answers_pings=False)

        async def is_over_although_there_is_work() -> bool:
            if not line.is_over:
                await run_on(bare, "edge01", shell="true")
            return line.is_over

        await eventually(is_over_although_there_is_work, what="the end of a silent session")


async def test_a_frame_of_a_kind_that_the_admin_does_not_know_is_passed_over(site: Installation) -> None:
    async with a_node(site, "edge01") as node:
        line = await node.open()
        await line.say_raw(UNKNOWN_KIND)
        await line.answered()


async def test_a_report_of_a_kind_that_the_admin_does_not_know_is_passed_over(site: Installation) -> None:
    async with a_node(site, "edge01") as node:
        line = await node.open()
        await run_on(site, "edge01", shell="true")
        execution_id = (await line.ordered("start")).execution_id
        await line.report(execution_id)
        await line.answered()


async def test_a_deleted_node_is_told_so_and_never_let_in_again(site: Installation) -> None:
    async with a_node(site, "edge01") as node:
        line = await node.open()
        await delete(site, "edge01")
        assert (await line.goodbye()).code == "node_deleted"
        assert isinstance(await node.refusal(), Unauthenticated)
        assert len(site.admin.registry) == 0


async def test_a_node_that_moves_keeps_its_session_and_its_commands(site: Installation) -> None:
    async with site.operator() as admin:
        await admin.call(admin.clusters.Create, cluster_pb2.CreateClusterRequest(name="oslo"))
    async with a_node(site, "edge01") as node:
        line = await node.open()
        before = await run_on(site, "edge01", shell="true")
        async with site.operator() as admin:
            await admin.call(admin.nodes.Move, node_pb2.MoveNodeRequest(node="edge01", cluster="oslo"))
        after = await run_on(site, "edge01.oslo", shell="true")
        await eventually(lambda: line.order_kinds().count("start") == 2, what="both starts")
        for order in line.orders():
            await line.report(order.execution_id, end=ok())
        assert (await ended(site, before.command_id), await ended(site, after.command_id)) == (
            {"edge01": "ok"},
            {"edge01": "ok"},
        )
        assert (await executions_of(site, before.command_id))["edge01"].cluster == "default"
        assert (await executions_of(site, after.command_id))["edge01"].cluster == "oslo"
        assert len(site.admin.registry) == 1
        assert (await (await node.open()).welcome()).cluster == "oslo"


async def test_a_node_that_leaves_while_it_is_welcomed_is_not_online(site: Installation) -> None:
    """The database is held so that the agent is gone for certain before its claim is stored."""
    async with a_node(site, "edge01") as node:
        with held_database(site):
            line = node.dial()
            await line.say(hello=node.hello())
            await refusal_of(node)  # by now the admin works on the hello that came before
            await line.cut()
            await refusal_of(node)  # and by now it knows that the stream is gone
        await site.enrollment_key()  # what waited for the database was written before this

        async def is_offline() -> bool:
            return [shown.status for shown in await site.nodes()] == [OFFLINE]

        assert await eventually(is_offline, within=3.0)


async def refusal_of(node: ScriptedNode) -> None:
    """A call from the first byte to the last."""
    line = node.dial()
    await line.say(ping=pb.Ping(nonce=1))
    await line.over()
