"""Tunnels through nodes: a real admin, real agents, and services that listen on this machine."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from edge_wire import calls
from edge_wire.channel import open_channel
from edge_wire.egress_rules import parse_rule
from edge_wire.errors import EdgeError, StreamBroken, TunnelUnknown
from edge_wire.sockets import SocketStream
from edge_wire.streams import Opened
from edge_wire.targets import Target, parse_destination, parse_target
from edge_wire.v1 import audit_pb2, node_pb2, principal_pb2, session_pb2_grpc, tunnel_pb2
from edgectl.connect import Admin
from edgectl.tunnelling.opening import open_tunnel
from tests.support.eventually import eventually
from tests.support.harness import Installation
from tests.support.services import a_service, echo, everything


def port_of_node(port: int) -> Target:
    return parse_destination(str(port))


async def say(opened: Opened, data: bytes) -> None:
    await opened.stream.write(data)
    await opened.stream.close_write()


async def hears_echo(opened: Opened) -> None:
    """It is open, and stays so."""
    await opened.stream.write(b"x")
    assert await opened.stream.read() == b"x"


async def refusal(admin: Admin, node: str, target: Target) -> str:
    """The code with which a tunnel is refused."""
    try:
        async with open_tunnel(admin, node, target):
            return ""
    except EdgeError as error:
        return error.code


async def ending(admin: Admin, port: int, happens: Callable[[Opened], Awaitable[None]]) -> str:
    """The code with which an open tunnel ends after something has happened."""
    try:
        async with open_tunnel(admin, "edge01", port_of_node(port)) as opened:
            await hears_echo(opened)
            await happens(opened)
            await everything(opened.stream)
    except EdgeError as error:
        return error.code
    return ""


async def audit_rows(admin: Admin, action: str) -> list[audit_pb2.AuditEntry]:
    return list((await admin.call(admin.audit.List, audit_pb2.ListAuditRequest(action=action))).entries)


async def test_a_port_of_a_node_is_reached_and_every_byte_arrives(one_node: Installation) -> None:
    sent = os.urandom(3_000_000)
    async with one_node.operator() as admin, a_service(echo) as port:
        async with open_tunnel(admin, "edge01", port_of_node(port)) as opened:
            assert opened.peer == f"127.0.0.1:{port}"
            saying = asyncio.create_task(say(opened, sent))
            heard = await everything(opened.stream)
            await saying
        assert hashlib.sha256(heard).digest() == hashlib.sha256(sent).digest()


async def test_many_tunnels_at_once_do_not_mix(one_node: Installation) -> None:
    async def one(admin: Admin, port: int, number: int) -> None:
        sent = bytes([number]) * 50_000
        async with open_tunnel(admin, "edge01", port_of_node(port)) as opened:
            saying = asyncio.create_task(say(opened, sent))
            assert await everything(opened.stream) == sent
            await saying

    async with one_node.operator() as admin, a_service(echo) as port:
        await asyncio.gather(*(one(admin, port, number) for number in range(50)))
    await eventually(lambda: len(one_node.admin._tunnels.census) == 0, what="no tunnel to be open")


async def test_a_target_that_ends_its_side_still_hears(one_node: Installation) -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def ends_first(stream: SocketStream) -> None:
        await stream.write(b"bye")
        await stream.close_write()
        heard.set_result(await stream.read())
        while await stream.read():
            pass

    async with one_node.operator() as admin, a_service(ends_first) as port:
        async with open_tunnel(admin, "edge01", port_of_node(port)) as opened:
            assert await everything(opened.stream) == b"bye"
            await say(opened, b"one thing more")
        assert await heard == b"one thing more"


async def test_a_target_that_resets_is_no_proper_end(one_node: Installation) -> None:
    async def resets(stream: SocketStream) -> None:
        await stream.write(await stream.read())
        await stream.read()
        stream.abort()

    async with one_node.operator() as admin, a_service(resets) as port:
        assert await ending(admin, port, lambda opened: opened.stream.write(b"x")) == "stream_broken"


async def test_a_client_that_breaks_off_is_no_proper_end_for_the_target(one_node: Installation) -> None:
    ended: asyncio.Future[EdgeError | None] = asyncio.get_running_loop().create_future()

    async def listens(stream: SocketStream) -> None:
        try:
            while await stream.read():
                pass
            ended.set_result(None)
        except EdgeError as error:
            ended.set_result(error)

    async with one_node.operator() as admin, a_service(listens) as port:
        async with open_tunnel(admin, "edge01", port_of_node(port)) as opened:
            await opened.stream.write(b"half of it")
        assert isinstance(await ended, StreamBroken)


@pytest.mark.parametrize(
    ("node", "target", "code"),
    [
        ("edge01", Target(host="", port=1, address=None), "target_refused"),
        ("edge01", parse_target("127.0.0.1", 22), "target_denied"),
        ("edge01", parse_target("169.254.169.254", 80), "target_denied"),
        ("edge01", Target(host="", port=2375, address=None), "target_denied"),
        ("edge01", Target(host="", port=44100, address=None), "target_denied"),
        ("edge01", parse_target("no-such-host.invalid", 80), "target_not_resolved"),
        ("edge01", Target(host="", port=0, address=None), "target_invalid"),
        ("edge01", Target(host="a b", port=80, address=None), "target_invalid"),
        ("nobody", Target(host="", port=80, address=None), "node_not_found"),
    ],
)
async def test_what_cannot_be_reached_is_refused_with_its_code(
    one_node: Installation, node: str, target: Target, code: str
) -> None:
    async with one_node.operator() as admin:
        assert await refusal(admin, node, target) == code


async def test_a_node_without_a_session_is_offline(one_node: Installation) -> None:
    await one_node.stop_agent("edge01")
    async with one_node.operator() as admin:
        assert await refusal(admin, "edge01", port_of_node(22)) == "node_offline"


async def test_a_node_that_leaves_breaks_its_tunnels(one_node: Installation) -> None:
    async with one_node.operator() as admin, a_service(echo) as port:
        assert await ending(admin, port, lambda _: one_node.stop_agent("edge01")) == "stream_broken"


async def test_a_deleted_node_has_no_tunnels(one_node: Installation) -> None:
    async with one_node.operator() as admin, a_service(echo) as port:

        async def delete(_opened: Opened) -> None:
            await admin.call(admin.nodes.Delete, node_pb2.DeleteNodeRequest(node="edge01"))

        assert await ending(admin, port, delete) == "node_not_found"


async def test_losing_the_session_leaves_tunnels_alone(one_node: Installation) -> None:
    async with (
        one_node.operator() as admin,
        a_service(echo) as port,
        open_tunnel(admin, "edge01", port_of_node(port)) as opened,
    ):
        await hears_echo(opened)
        (session,) = one_node.admin.registry
        session.say_goodbye("replaced", "a test")
        await eventually(lambda: session not in list(one_node.admin.registry), what="another session")
        await say(opened, b"still there")
        assert await everything(opened.stream) == b"still there"


async def test_rules_of_the_node_decide(bare: Installation) -> None:
    await bare.start_admin()
    async with a_service(echo) as open_port, a_service(echo) as shut_port:
        await bare.add_agent(
            "edge01",
            egress_allow=[parse_rule(f"127.0.0.1:{open_port}")],
            egress_deny=[parse_rule(f":{shut_port}")],
        )
        async with bare.operator() as admin:
            async with open_tunnel(admin, "edge01", parse_target("127.0.0.1", open_port)) as opened:
                await say(opened, b"allowed")
                assert await everything(opened.stream) == b"allowed"
            assert await refusal(admin, "edge01", port_of_node(shut_port)) == "target_denied"


async def test_tunnels_are_in_the_audit_log_with_what_became_of_them(one_node: Installation) -> None:
    async with one_node.operator() as admin, a_service(echo) as port:
        async with open_tunnel(admin, "edge01", port_of_node(port)) as opened:
            await say(opened, b"12345")
            assert await everything(opened.stream) == b"12345"
        assert await refusal(admin, "edge01", parse_target("localhost", port)) == "target_denied"
        await eventually(lambda: _has_rows(admin, "tunnel.close", 2), what="two ends in the audit log")
        denied, done = await audit_rows(admin, "tunnel.close")
        opening = {row.details["tunnel"]: row for row in await audit_rows(admin, "tunnel.open")}
        assert (done.subject_name, done.details["outcome"], done.details["bytes_sent"]) == ("edge01", "ok", "5")
        assert done.details["bytes_received"] == "5"
        assert opening[done.details["tunnel"]].details["target"] == str(port)
        assert denied.details["outcome"] == "target_denied"
        assert opening[denied.details["tunnel"]].details["target"] == f"localhost:{port}"


async def test_a_tunnel_that_outlives_its_node_counts_for_nobody(one_node: Installation) -> None:
    async with one_node.operator() as admin, a_service(echo) as port:

        async def delete_the_node(_opened: Opened) -> None:
            await admin.call(admin.nodes.Delete, node_pb2.DeleteNodeRequest(node="edge01"))

        assert await ending(admin, port, delete_the_node) == "node_not_found"
        census = one_node.admin._tunnels.census
        await eventually(lambda: len(census) == 0, what="no tunnel to be open")
        assert list(census.counters) == []


async def _has_rows(admin: Admin, action: str, count: int) -> bool:
    return len(await audit_rows(admin, action)) == count


async def test_a_credential_for_proxies_may_and_a_viewer_may_not(one_node: Installation) -> None:
    async with one_node.operator() as admin, a_service(echo) as port:
        tokens = {}
        for role in ("proxy", "viewer"):
            made = await admin.call(
                admin.tokens.Create,
                principal_pb2.CreateTokenRequest(name=role, role=principal_pb2.Role.Value(f"ROLE_{role.upper()}")),
            )
            tokens[role] = made.token
        async with (
            one_node.operator(tokens["proxy"]) as proxy,
            open_tunnel(proxy, "edge01", port_of_node(port)) as opened,
        ):
            await say(opened, b"x")
            assert await everything(opened.stream) == b"x"
        async with one_node.operator(tokens["viewer"]) as viewer:
            assert await refusal(viewer, "edge01", port_of_node(port)) == "denied"


async def test_no_more_tunnels_than_the_settings_allow(bare: Installation) -> None:
    await bare.start_admin(tunnels_per_node=2)
    await bare.add_agent("edge01")
    async with bare.operator() as admin, a_service(echo) as port:
        async with open_tunnel(admin, "edge01", port_of_node(port)), open_tunnel(admin, "edge01", port_of_node(port)):
            assert await refusal(admin, "edge01", port_of_node(port)) == "tunnel_limit_reached"
        await eventually(lambda: len(bare.admin._tunnels.census) == 0, what="room for others")
        assert await refusal(admin, "edge01", port_of_node(port)) == ""


async def test_an_idle_tunnel_is_ended_and_says_why(bare: Installation) -> None:
    await bare.start_admin(tunnel_idle_timeout_seconds=0.2)
    await bare.add_agent("edge01")
    async with bare.operator() as admin, a_service(echo) as port:
        assert await ending(admin, port, hears_echo) == "tunnel_idle"


async def test_an_admin_that_stops_says_so_in_its_tunnels(one_node: Installation) -> None:
    async with one_node.operator() as admin, a_service(echo) as port:
        assert await ending(admin, port, lambda _: one_node.stop_admin()) == "shutting_down"


async def test_a_draining_admin_lets_quiet_tunnels_end_properly(one_node: Installation) -> None:
    async with one_node.operator() as admin, a_service(echo) as port:
        async with open_tunnel(admin, "edge01", port_of_node(port)) as opened:
            await hears_echo(opened)
            draining = asyncio.create_task(one_node.admin._tunnels.drain(timedelta(seconds=20)))
            assert await everything(opened.stream) == b""  # the echo heard the end, and ended too
            assert await refusal(admin, "edge01", port_of_node(port)) == "shutting_down"
            await opened.stream.close_write()
        await draining


async def test_a_node_cannot_bring_a_tunnel_that_nobody_asked_for(one_node: Installation) -> None:
    token = one_node.agents["edge01"]._keys.token
    channel = open_channel(one_node.admin.address.urls[0], [one_node.admin.authority.der])
    conversation = calls.converse(session_pb2_grpc.NodeGateStub(channel).Tunnel, token=token)
    await conversation.write(tunnel_pb2.TunnelFrame(arrival=tunnel_pb2.TunnelArrival(tunnel_id="made/up")))
    with pytest.raises(TunnelUnknown):
        await anext(conversation)
    conversation.close()
    await channel.close()
