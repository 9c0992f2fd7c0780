"""Opening a session at a real admin: hello and welcome, epochs, clones, and what is no session at all."""

from __future__ import annotations

from sqlalchemy import select

from edge_server.nodes.models import NodeRow
from edge_wire import version
from edge_wire.errors import FrameInvalid, IdentityInUse, LabelInvalid, ProtocolUnsupported, Unauthenticated
from edge_wire.v1 import node_pb2
from edge_wire.v1 import session_pb2 as pb
from tests.edge_server.scripted_node import ScriptedNode, a_node
from tests.support.eventually import eventually
from tests.support.harness import Installation

ONLINE, OFFLINE, CONFLICT = (
    node_pb2.NODE_STATUS_ONLINE,
    node_pb2.NODE_STATUS_OFFLINE,
    node_pb2.NODE_STATUS_CONFLICT,
)


async def row_of(site: Installation, node: ScriptedNode) -> NodeRow:
    return await site.admin.db.read(lambda tx: tx.scalars(select(NodeRow).where(NodeRow.id == node.id)).one())


async def test_a_welcome_says_everything_that_an_agent_must_know(bare: Installation) -> None:
    await bare.start_admin(ping_interval_seconds=7, ping_dead_after_seconds=21)
    async with a_node(bare, "edge01") as node:
        welcome = await (await node.open()).welcome()
        assert welcome.protocol == version.protocol()
        assert (welcome.node_id, welcome.node_name, welcome.cluster) == (node.id, "edge01", "default")
        assert (welcome.admin_id, welcome.session_epoch) == (bare.admin.admin_id, 1)
        assert list(welcome.admin_urls) == list(bare.admin.address.urls)
        assert list(welcome.ca_certificates) == [bare.admin.authority.der]
        limits = welcome.limits
        assert (limits.ping_interval.seconds, limits.dead_after.seconds, limits.max_frame_bytes) == (7, 21, 1024 * 1024)


async def test_another_major_version_is_refused_and_takes_nobodys_place(site: Installation) -> None:
    async with a_node(site, "edge01") as node:
        first = await node.open()
        for major in (0, version.PROTOCOL_MAJOR + 1):
            line = node.dial()
            await line.say(hello=node.hello(protocol=pb.ProtocolVersion(major=major, minor=0)))
            assert isinstance(await line.over(), ProtocolUnsupported)
        await first.answered()
        assert (await row_of(site, node)).session_epoch == 1


async def test_of_two_minor_versions_the_smaller_one_is_spoken(site: Installation) -> None:
    async with a_node(site, "edge01") as node:
        line = node.dial()
        await line.say(hello=node.hello(protocol=pb.ProtocolVersion(major=version.PROTOCOL_MAJOR, minor=1000)))
        assert (await line.welcome()).protocol.minor == version.PROTOCOL_MINOR


async def test_a_session_begins_with_one_hello(site: Installation) -> None:
    async with a_node(site, "edge01") as node:
        for first in (
            {"ping": pb.Ping(nonce=1)},
            {"reports": pb.ExecutionReports()},
            {"goodbye": pb.Goodbye(code="shutting_down")},
            {},
        ):
            line = node.dial()
            await line.say(**first)
            assert isinstance(await line.over(), FrameInvalid), first
        assert (await row_of(site, node)).session_epoch == 0
        twice = await node.open()
        await twice.say(hello=node.hello())
        assert isinstance(await twice.over(), FrameInvalid)
        await site.wait_status("edge01", OFFLINE)


async def test_a_hello_that_cannot_be_meant_is_refused(site: Installation) -> None:
    async with a_node(site, "edge01") as node:
        nameless, endless = node.hello(), node.hello(instance_id="x" * 65)
        nameless.instance_id = ""
        for hello, error in (
            (nameless, FrameInvalid),
            (endless, FrameInvalid),
            (node.hello(labels={"a\nb": "c"}), LabelInvalid),
        ):
            line = node.dial()
            await line.say(hello=hello)
            assert isinstance(await line.over(), error)
        assert (await row_of(site, node)).session_epoch == 0


async def test_each_session_has_a_higher_epoch_and_the_end_of_an_old_one_changes_nothing(site: Installation) -> None:
    async with a_node(site, "edge01") as node:
        lines = [await node.open() for _ in range(4)]
        assert [(await line.welcome()).session_epoch for line in lines] == [1, 2, 3, 4]
        for line in lines[:-1]:
            assert (await line.goodbye()).code == "replaced"
        await lines[-1].answered()
        row = await row_of(site, node)
        assert (row.session_epoch, row.session_admin_id) == (4, site.admin.admin_id)
        await site.wait_status("edge01", ONLINE)


async def test_the_same_start_of_an_agent_may_come_back_for_ever(site: Installation) -> None:
    async with a_node(site, "edge01") as node:
        for _ in range(50):
            line = await node.open()
        await line.answered()
        row = await row_of(site, node)
        assert (row.session_epoch, row.superseded_instances) == (50, [])


async def test_a_start_whose_place_was_taken_is_refused_and_the_one_that_took_it_goes_on(site: Installation) -> None:
    async with a_node(site, "edge01") as node:
        first = await node.open(instance_id="original")
        second = await node.open(instance_id="copy")
        assert (await first.goodbye()).code == "replaced"
        for _ in range(3):
            again = node.dial()
            await again.say(hello=node.hello(instance_id="original"))
            error = await again.over()
            assert isinstance(error, IdentityInUse)
            assert "empty data directory" in error.hint
        await second.answered()
        assert second.kinds()[-1] == "pong"
        assert (await row_of(site, node)).session_epoch == 2
        await site.wait_status("edge01", CONFLICT)


async def test_many_sessions_of_one_node_at_once_leave_exactly_one(site: Installation) -> None:
    async with a_node(site, "edge01") as node:
        lines = [node.dial() for _ in range(12)]
        for line in lines:
            await line.say(hello=node.hello())
        epochs = sorted([(await line.welcome()).session_epoch for line in lines])
        assert epochs == list(range(1, 13))
        await eventually(lambda: sum(not line.is_over for line in lines) == 1, what="one session")
        left = next(line for line in lines if not line.is_over)
        assert (await left.welcome()).session_epoch == 12
        assert len(site.admin.registry) == 1


async def test_the_token_of_another_node_is_that_node_whatever_hello_says(site: Installation) -> None:
    async with a_node(site, "edge01") as one, a_node(site, "edge02") as two:
        line = await one.open(instance_id=two.instance_id)
        assert (await line.welcome()).node_name == "edge01"
        stranger = ScriptedNode(site, "edge03", "", "edge_node_nobody")
        stranger.instance_id = two.instance_id
        assert isinstance(await stranger.refusal(), Unauthenticated)
        for refused in stranger.lines:
            await refused.cut()


async def test_labels_of_an_agent_are_replaced_whole_and_those_of_operators_stay(site: Installation) -> None:
    async with a_node(site, "edge01") as node:
        await node.open(labels={"rack": "7", "room": "a"})
        async with site.operator() as admin:
            request = node_pb2.UpdateNodeRequest(node="edge01", set_labels={"site": "oslo"})
            await admin.call(admin.nodes.Update, request)
        await node.open(labels={"rack": "8"})
        shown = await site.nodes()
        assert dict(shown[0].labels) == {"node/rack": "8", "site": "oslo"}
        await node.open()
        assert dict((await site.nodes())[0].labels) == {"site": "oslo"}
