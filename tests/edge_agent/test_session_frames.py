"""The agent's half of a session without a network: what is sent when, and in which frames. The clock is the test's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from edge_agent.executions.journal import ENTRIES_LIMIT
from edge_agent.executions.reports import Output
from edge_agent.session import AgentSession
from edge_wire import version
from edge_wire.channel import FRAME_LIMIT
from edge_wire.errors import FrameInvalid, ProtocolUnsupported
from edge_wire.v1 import command_pb2
from edge_wire.v1 import session_pb2 as pb
from tests.edge_agent.scripted_admin import UNKNOWN_KIND, NoExecutions, a_session, a_welcome


class Stopwatch:
    """Monotonic seconds that only pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


async def welcomed(
    clock: Stopwatch | None = None, *, ping: float = 15.0, dead: float = 45.0, frame_limit: int = FRAME_LIMIT
) -> tuple[AgentSession, NoExecutions]:
    """A session behind hello and welcome."""
    executions = NoExecutions()
    session = a_session(clock or Stopwatch(), executions=executions)
    await session.next_frame()
    welcome = a_welcome(ping=ping, dead=dead)
    welcome.welcome.limits.max_frame_bytes = frame_limit
    assert session.receive(welcome)
    return session, executions


async def said(session: AgentSession) -> list[pb.AgentFrame]:
    """Everything that it sends once it is told to say goodbye."""
    session.say_goodbye("shutting_down", "")
    frames = []
    while (frame := await session.next_frame()) is not None:
        frames.append(frame)
    return frames


def kinds(frames: Sequence[pb.AgentFrame]) -> list[str | None]:
    return [frame.WhichOneof("frame") for frame in frames]


def output(offset: int, size: int) -> Output:
    return Output(execution_id="e1", stream=command_pb2.OUTPUT_STREAM_STDOUT, offset=offset, data=b"x" * size)


async def test_goodbye_comes_behind_everything_that_was_reported_and_nothing_behind_it() -> None:
    session, executions = await welcomed()
    assert executions.send is not None
    for number in range(5):
        executions.send(output(number, 1))
    session.receive(pb.AdminFrame(ping=pb.Ping(nonce=7)))
    frames = await said(session)
    assert kinds(frames) == ["pong", "reports", "goodbye"]
    assert [report.output.offset for report in frames[1].reports.reports] == [0, 1, 2, 3, 4]
    executions.send(output(5, 1))
    assert await session.next_frame() is None


@pytest.mark.parametrize("size", [1, 64 * 1024, 256 * 1024])
async def test_reports_keep_their_sequence_over_frames_that_are_small_enough(size: int) -> None:
    session, executions = await welcomed()
    assert executions.send is not None
    for number in range(60):
        executions.send(output(number * size, size))
    frames = await said(session)
    assert all(frame.ByteSize() <= FRAME_LIMIT for frame in frames)
    reported = [report.output.offset for frame in frames for report in frame.reports.reports]
    assert reported == [number * size for number in range(60)]


@pytest.mark.parametrize("limit", [100, 4096, FRAME_LIMIT])
async def test_output_is_cut_to_what_the_admin_takes_in_one_frame(limit: int) -> None:
    session, executions = await welcomed(frame_limit=limit)
    assert executions.send is not None
    executions.send(output(7, 3000))
    executions.send(output(3007, 3 * limit))
    frames = await said(session)
    assert all(frame.ByteSize() <= limit for frame in frames)
    chunks = [report.output for frame in frames for report in frame.reports.reports]
    ends = [7, *(chunk.offset + len(chunk.data) for chunk in chunks)]
    assert [chunk.offset for chunk in chunks] == ends[:-1]
    assert ends[-1] == 3007 + 3 * limit


async def test_a_full_journal_fits_into_hello() -> None:
    inventory = [
        pb.ExecutionInventory(execution_id=f"7f9c0d1e-0000-4000-8000-{number:012}", started=True, ended=True)
        for number in range(ENTRIES_LIMIT)
    ]
    session = a_session(Stopwatch(), executions=NoExecutions(*inventory))
    hello = await session.next_frame()
    assert hello is not None
    assert len(hello.hello.executions) == ENTRIES_LIMIT
    assert hello.ByteSize() <= FRAME_LIMIT


async def test_executions_are_attached_by_a_welcome_and_by_nothing_else() -> None:
    executions = NoExecutions()
    session = a_session(Stopwatch(), executions=executions)
    order = pb.AdminFrame(orders=pb.ExecutionOrders(orders=[pb.ExecutionOrder(execution_id="e1")]))
    for early in (order, pb.AdminFrame(pong=pb.Pong()), pb.AdminFrame(ping=pb.Ping())):
        with pytest.raises(FrameInvalid):
            session.receive(early)
    with pytest.raises(ProtocolUnsupported):
        session.receive(a_welcome(protocol=pb.ProtocolVersion(major=version.PROTOCOL_MAJOR + 1)))
    assert (executions.send, executions.orders, session.is_welcome) == (None, [], False)
    session.end()
    late, attached = await welcomed()
    late.receive(order)
    assert (attached.send is None, len(attached.orders)) == (False, 1)
    with pytest.raises(FrameInvalid):
        late.receive(a_welcome())
    late.end()
    assert attached.send is None


async def test_a_goodbye_before_any_welcome_is_understood() -> None:
    session = a_session(Stopwatch(), executions=NoExecutions())
    assert not session.receive(pb.AdminFrame(goodbye=pb.Goodbye(code="shutting_down", message="later")))
    assert session.goodbye is not None
    assert session.goodbye.code == "shutting_down"


async def test_a_frame_of_a_kind_that_the_agent_does_not_know_is_passed_over_and_a_sign_of_life() -> None:
    clock = Stopwatch()
    session, _ = await welcomed(clock, ping=10, dead=30)
    for _ in range(5):
        clock.seconds += 29
        assert session.receive(pb.AdminFrame.FromString(UNKNOWN_KIND))
    session.say_goodbye("shutting_down", "")
    assert kinds([frame for frame in [await session.next_frame()] if frame]) == ["goodbye"]


async def test_silence_is_asked_about_once_per_interval_and_then_means_death() -> None:
    clock = Stopwatch()
    session, _ = await welcomed(clock, ping=10, dead=30)
    nonces = []
    while True:
        clock.seconds += 10.5
        frame = await session.next_frame()
        if frame is None:
            break
        nonces.append(frame.ping.nonce)
    assert nonces == [1, 2]


async def test_no_admin_is_called_dead_that_was_never_asked() -> None:
    clock = Stopwatch()
    session, _ = await welcomed(clock, ping=10, dead=5)
    clock.seconds += 10.1
    frame = await session.next_frame()
    assert frame is not None
    assert frame.WhichOneof("frame") == "ping"


async def test_limits_that_a_welcome_leaves_out_are_the_usual_ones() -> None:
    clock = Stopwatch()
    session = a_session(clock, executions=NoExecutions())
    await session.next_frame()
    session.receive(pb.AdminFrame(welcome=pb.Welcome(protocol=version.protocol())))
    clock.seconds += 15.1
    frame = await session.next_frame()
    assert frame is not None
    assert frame.WhichOneof("frame") == "ping"
    clock.seconds += 30
    assert await session.next_frame() is None


def started() -> pb.ExecutionReport:
    return pb.ExecutionReport(execution_id="e1", started=pb.ExecutionStarted(pid=1))


async def test_a_short_command_is_one_frame_up() -> None:
    session, executions = await welcomed()
    assert executions.send is not None
    sending = asyncio.create_task(session.next_frame())
    await asyncio.sleep(0)
    executions.send(started())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not sending.done()
    executions.send(pb.ExecutionReport(execution_id="e1", end=command_pb2.ExecutionEnd()))
    frame = await sending
    assert frame is not None
    assert [report.WhichOneof("report") for report in frame.reports.reports] == ["started", "end"]


async def test_a_start_without_company_is_told_after_a_moment() -> None:
    session, executions = await welcomed()
    assert executions.send is not None
    sending = asyncio.create_task(session.next_frame())
    await asyncio.sleep(0)
    executions.send(started())
    frame = await asyncio.wait_for(sending, 10)
    assert frame is not None
    assert [report.WhichOneof("report") for report in frame.reports.reports] == ["started"]
