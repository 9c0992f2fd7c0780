"""The admin's half of a session without a network: what is sent when, and in which frames. The clock is the test's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from edge_server.nodes.domain import NodeId, NodeIdentity
from edge_server.sessions.registry import SessionRegistry
from edge_server.sessions.session import NodeSession, SessionLimits, Sinks
from edge_server.settings import Settings
from edge_wire.channel import FRAME_LIMIT
from edge_wire.errors import FrameInvalid
from edge_wire.v1 import session_pb2 as pb
from edge_wire.v1 import ssh_pb2, tunnel_pb2
from tests.edge_server.scripted_node import UNKNOWN_KIND
from tests.edge_server.watching import Stopwatch

NODE = NodeIdentity(id=NodeId("aaaa1"), name="web1", cluster_id="id-of-oslo", cluster_name="oslo")


class Heard:
    """Gathers what a session passes on."""

    def __init__(self) -> None:
        self.reports: list[pb.ExecutionReport] = []

    def session_opened(self, session: NodeSession, inventory: Sequence[pb.ExecutionInventory]) -> None: ...

    def session_closed(self, session: NodeSession) -> None: ...

    def reported(self, session: NodeSession, reports: Sequence[pb.ExecutionReport]) -> None:
        self.reports += reports


class NoTunnels:
    """Of an admin that asks for no tunnels."""

    def session_closed(self, session: NodeSession) -> None: ...

    def refused(self, session: NodeSession, refusal: tunnel_pb2.TunnelRefused) -> None: ...


class NoSsh:
    """Of an admin that is not asked about SSH."""

    def session_opened(self, session: NodeSession, server: ssh_pb2.SshServerFacts) -> None: ...

    def asked(self, session: NodeSession, question: ssh_pb2.SshQuestion) -> None: ...

    def reported(self, session: NodeSession, reports: Sequence[ssh_pb2.SshReport]) -> None: ...

    def counted(self, session: NodeSession, inventory: ssh_pb2.SshInventory) -> None: ...


def a_session(clock: Stopwatch | None = None, *, epoch: int = 1, interval: float = 10, dead: float = 30) -> NodeSession:
    return NodeSession(
        node=NODE,
        epoch=epoch,
        welcome=pb.Welcome(session_epoch=epoch),
        limits=SessionLimits(ping_interval=timedelta(seconds=interval), dead_after=timedelta(seconds=dead)),
        features=[],
        has_ssh=False,
        sinks=Sinks(reports=Heard(), tunnels=NoTunnels(), ssh=NoSsh()),
        clock=clock or Stopwatch(),
    )


def start(execution_id: str, size: int = 1) -> pb.ExecutionOrder:
    return pb.ExecutionOrder(execution_id=execution_id, start=pb.StartExecution(shell="x" * size))


async def said(session: NodeSession) -> list[pb.AdminFrame]:
    """Everything that it sends once it is told to say goodbye."""
    session.say_goodbye("shutting_down", "")
    frames = []
    while (frame := await session.next_frame()) is not None:
        frames.append(frame)
    return frames


def kinds(frames: Sequence[pb.AdminFrame]) -> list[str | None]:
    return [frame.WhichOneof("frame") for frame in frames]


async def test_welcome_is_the_first_frame_and_goodbye_the_last_behind_all_orders() -> None:
    session = a_session()
    for name in ("e1", "e2", "e3"):
        session.order(start(name))
    frames = await said(session)
    assert kinds(frames) == ["welcome", "orders", "goodbye"]
    assert [order.execution_id for order in frames[1].orders.orders] == ["e1", "e2", "e3"]


async def test_after_a_goodbye_nothing_is_ordered_and_the_first_reason_stays() -> None:
    session = a_session()
    session.say_goodbye("replaced", "")
    session.order(start("e1"))
    frames = await said(session)
    assert kinds(frames) == ["welcome", "goodbye"]
    assert frames[-1].goodbye.code == "replaced"
    assert not session.is_open


async def test_a_goodbye_says_when_to_come_back() -> None:
    session = a_session()
    session.say_goodbye("identity_in_use", "", timedelta(minutes=5))
    assert (await said(session))[-1].goodbye.retry_after.seconds == 300
    plain = a_session()
    assert not (await said(plain))[-1].goodbye.HasField("retry_after")


@pytest.mark.parametrize("size", [1, 10_000, FRAME_LIMIT // 2])
async def test_orders_keep_their_sequence_over_frames_that_are_small_enough(size: int) -> None:
    session = a_session()
    names = [f"e{number}" for number in range(200 if size < FRAME_LIMIT // 2 else 4)]
    for name in names:
        session.order(start(name, size))
    frames = await said(session)
    assert all(frame.ByteSize() <= FRAME_LIMIT for frame in frames)
    assert [order.execution_id for frame in frames for order in frame.orders.orders] == names


async def test_a_ping_is_answered_before_orders_that_wait() -> None:
    session = a_session()
    session.order(start("e1"))
    assert session.receive(pb.AgentFrame(ping=pb.Ping(nonce=7)))
    frames = await said(session)
    assert kinds(frames) == ["welcome", "pong", "orders", "goodbye"]
    assert frames[1].pong.nonce == 7


async def test_silence_is_asked_about_once_per_interval_and_then_means_death() -> None:
    clock = Stopwatch()
    session = a_session(clock)
    await session.next_frame()
    asked = 0
    while True:
        clock.seconds += 10.5
        frame = await session.next_frame()
        if frame is None:
            break
        assert frame.WhichOneof("frame") == "ping"
        asked += 1
    assert asked == 2
    assert clock.seconds == 1000 + 3 * 10.5


async def test_whatever_the_node_says_is_a_sign_of_life() -> None:
    clock = Stopwatch()
    session = a_session(clock)
    await session.next_frame()
    for frame in (
        pb.AgentFrame(pong=pb.Pong(nonce=1)),
        pb.AgentFrame(reports=pb.ExecutionReports()),
        pb.AgentFrame(pong=pb.Pong(nonce=99)),
    ):
        clock.seconds += 29
        assert (await session.next_frame() or pb.AdminFrame()).WhichOneof("frame") == "ping"
        assert session.receive(frame)
    clock.seconds += 29
    assert (await session.next_frame() or pb.AdminFrame()).WhichOneof("frame") == "ping"


async def test_nobody_is_called_dead_who_was_never_asked(tmp_path: Path) -> None:
    try:
        settings = Settings(data_dir=tmp_path, ping_interval_seconds=60)
    except ValueError:
        return
    clock = Stopwatch()
    session = a_session(clock, interval=60, dead=settings.ping_dead_after_seconds)
    await session.next_frame()
    clock.seconds += 60.1
    frame = await session.next_frame()
    assert frame is not None
    assert frame.WhichOneof("frame") == "ping"


@pytest.mark.parametrize("frame", [pb.AgentFrame(hello=pb.Hello())])
def test_a_second_hello_is_no_frame_of_a_session(frame: pb.AgentFrame) -> None:
    with pytest.raises(FrameInvalid):
        a_session().receive(frame)


def test_a_frame_of_an_unknown_kind_is_passed_over() -> None:
    assert a_session().receive(pb.AgentFrame.FromString(UNKNOWN_KIND))


def test_the_last_frame_of_the_node_ends_it() -> None:
    assert not a_session().receive(pb.AgentFrame(goodbye=pb.Goodbye(code="shutting_down")))


async def test_when_the_transport_is_gone_nothing_is_sent_not_even_a_goodbye() -> None:
    session = a_session()
    session.order(start("e1"))
    session.end()
    assert await said(session) == []


async def test_a_registry_keeps_the_newest_session_whatever_order_they_come_in() -> None:
    registry, newer, older = SessionRegistry(), a_session(epoch=2), a_session(epoch=1)
    assert registry.add(newer)
    assert not registry.add(older)
    assert registry.find(NODE.id) is newer
    assert kinds(await said(older))[-1] == "goodbye"
    assert not registry.remove(older)
    assert registry.find(NODE.id) is newer
    newest = a_session(epoch=3)
    assert registry.add(newest)
    assert (await said(newer))[-1].goodbye.code == "replaced"
    assert not registry.remove(newer)
    assert registry.find(NODE.id) is newest


def test_a_session_that_said_goodbye_is_not_found_any_more() -> None:
    registry, session = SessionRegistry(), a_session()
    registry.add(session)
    session.say_goodbye("node_deleted", "")
    assert registry.find(NODE.id) is None
    assert len(registry) == 1
