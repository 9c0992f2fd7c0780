"""A real agent and an admin that says what a test says: welcomes, goodbyes, silence, and what follows from them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from edge_agent.dial import LONGEST_WAIT_SECONDS, Dialler
from edge_wire import version
from edge_wire.v1 import command_pb2
from edge_wire.v1 import session_pb2 as pb
from tests.edge_agent.scripted_admin import (
    AUTHORITY,
    UNKNOWN_KIND,
    NoExecutions,
    ScriptedAdmin,
    a_session,
    a_welcome,
    an_admin,
    an_agent,
    enrolled,
    known_to,
    state_of,
)
from tests.support.eventually import eventually
from tests.support.services import a_service, silence


async def test_hello_comes_first_and_says_who_came(tmp_path: Path) -> None:
    async with an_admin() as admin:
        data_dir = enrolled(tmp_path / "node", admin.url)
        async with an_agent(data_dir, node_labels={"rack": "7"}):
            visit = await admin.visit()
            assert visit.kinds()[0] == "hello"
            hello = visit.hello
            assert (hello.protocol, dict(hello.labels), list(hello.executions)) == (
                version.protocol(),
                {"rack": "7"},
                [],
            )
            assert hello.instance_id
            assert await state_of(data_dir, "connected") == ""


async def test_an_instance_stays_the_same_over_sessions_and_changes_with_each_start(tmp_path: Path) -> None:
    async with an_admin() as admin:
        data_dir = enrolled(tmp_path / "node", admin.url)
        async with an_agent(data_dir):
            (await admin.visit(1)).hang_up()
            (await admin.visit(2)).hang_up()
            await admin.visit(3)
        async with an_agent(data_dir):
            await admin.visit(4)
    ids = [visit.hello.instance_id for visit in admin.visits]
    assert ids[0] == ids[1] == ids[2] != ids[3]


async def test_an_admin_of_another_major_version_gets_no_reports_and_is_asked_again(tmp_path: Path) -> None:
    welcome = a_welcome(protocol=pb.ProtocolVersion(major=version.PROTOCOL_MAJOR + 1), node_name="renamed")
    async with an_admin(welcome) as admin:
        data_dir = enrolled(tmp_path / "node", admin.url)
        async with an_agent(data_dir):
            first = await admin.visit(1)
            await admin.visit(2)
            assert "protocol_unsupported" in await state_of(data_dir, "connecting")
            assert "reports" not in first.kinds()
            assert known_to(data_dir).node_name == "edge01"


async def test_an_admin_of_a_larger_minor_version_is_spoken_to(tmp_path: Path) -> None:
    async with an_admin(a_welcome(protocol=pb.ProtocolVersion(major=version.PROTOCOL_MAJOR, minor=99))) as admin:
        data_dir = enrolled(tmp_path / "node", admin.url)
        async with an_agent(data_dir):
            await state_of(data_dir, "connected")
            visit = await admin.visit()
            visit.say(pb.AdminFrame.FromString(UNKNOWN_KIND))
            visit.say(pb.AdminFrame(orders=pb.ExecutionOrders(orders=[pb.ExecutionOrder(execution_id="e1")])))
            visit.say(pb.AdminFrame(ping=pb.Ping(nonce=7)))
            await visit.heard("pong")
            assert [frame.pong.nonce for frame in visit.frames if frame.HasField("pong")] == [7]


async def test_lists_of_a_welcome_replace_what_was_known_and_empty_ones_never_do(tmp_path: Path) -> None:
    async with an_admin() as admin:
        data_dir = enrolled(tmp_path / "node", admin.url, "https://192.0.2.1:44100")
        other = b"another CA"
        admin.greeting = a_welcome(admin_urls=[admin.url], ca_certificates=[AUTHORITY.der, other], cluster="oslo")
        async with an_agent(data_dir):
            await state_of(data_dir, "connected")
            known = known_to(data_dir)
            assert (list(known.admin_urls), list(known.ca_certificates)) == ([admin.url], [AUTHORITY.der, other])
            assert known.cluster == "oslo"
            admin.greeting = a_welcome(admin_urls=[], ca_certificates=[])
            (await admin.visit(1)).hang_up()
            await admin.visit(2)
            await eventually(lambda: known_to(data_dir).cluster == "default")
            after = known_to(data_dir)
            assert (after.admin_urls, after.ca_certificates) == (known.admin_urls, known.ca_certificates)


async def test_anything_before_welcome_and_a_second_welcome_end_the_session(tmp_path: Path) -> None:
    async with an_admin(pb.AdminFrame(ping=pb.Ping(nonce=1))) as admin:
        data_dir = enrolled(tmp_path / "node", admin.url)
        async with an_agent(data_dir):
            first = await admin.visit(1)
            await first.over()
            assert first.kinds() == ["hello"]
            admin.greeting = a_welcome()
            second = await admin.visit(2)
            second.say(a_welcome())
            await second.over()
            assert "frame_invalid" in await state_of(data_dir, "connecting")


async def test_a_silent_admin_is_asked_and_then_left(tmp_path: Path) -> None:
    async with an_admin(a_welcome(ping=0.1, dead=0.5)) as admin, an_agent(enrolled(tmp_path / "node", admin.url)):
        visit = await admin.visit(1)
        visit.say(pb.AdminFrame(ping=pb.Ping()))
        await visit.over()
        assert visit.kinds().count("ping") >= 3
        assert "goodbye" not in visit.kinds()
        await admin.visit(2)


async def test_an_admin_that_is_silent_from_its_welcome_on_is_left_when_the_welcome_says(tmp_path: Path) -> None:
    async with an_admin(a_welcome(ping=0.1, dead=0.5)) as admin, an_agent(enrolled(tmp_path / "node", admin.url)):
        await admin.visit(1)
        await admin.visit(2, within=4.0)


async def test_an_admin_that_answers_is_kept(tmp_path: Path) -> None:
    async with an_admin(a_welcome(ping=0.05, dead=0.4)) as admin, an_agent(enrolled(tmp_path / "node", admin.url)):
        visit = await admin.visit(1)
        visit.say(pb.AdminFrame(ping=pb.Ping()))
        for number in range(1, 16):
            await visit.heard("ping", number)
            visit.say(pb.AdminFrame(pong=pb.Pong(nonce=number)))
        assert not visit.is_over
        assert len(admin.visits) == 1


async def test_an_agent_that_stops_says_so_in_its_last_frame(tmp_path: Path) -> None:
    async with an_admin() as admin:
        data_dir = enrolled(tmp_path / "node", admin.url)
        async with an_agent(data_dir):
            await state_of(data_dir, "connected")
        visit = await admin.visit()
        await visit.over()
        assert visit.kinds()[-1] == "goodbye"
        assert visit.frames[-1].goodbye.code == "shutting_down"
        await state_of(data_dir, "stopped")


@pytest.mark.parametrize("code", ["shutting_down", "replaced", "node_deleted", "a_code_of_tomorrow"])
async def test_a_goodbye_of_the_admin_is_told_and_the_agent_comes_back(tmp_path: Path, code: str) -> None:
    async with an_admin() as admin:
        data_dir = enrolled(tmp_path / "node", admin.url)
        async with an_agent(data_dir):
            await state_of(data_dir, "connected")
            (await admin.visit(1)).say_goodbye(code, message="these words")
            assert "these words" in await state_of(data_dir, "connecting")
            await admin.visit(2)


async def test_what_runs_is_reported_on_in_the_next_session_when_resumed(tmp_path: Path) -> None:
    async with an_admin() as admin, an_agent(enrolled(tmp_path / "node", admin.url)):
        first = await admin.visit(1)
        go = tmp_path / "go"
        start = pb.StartExecution(shell=f"echo a; while [ ! -e {go} ]; do sleep 0.02; done; echo b", credit=1000)
        order = pb.ExecutionOrder(execution_id="e1", start=start)
        first.say(pb.AdminFrame(orders=pb.ExecutionOrders(orders=[order])))
        await eventually(lambda: b"a\n" in output(first.frames))
        first.hang_up()
        second = await admin.visit(2)
        assert [(known.execution_id, known.started) for known in second.hello.executions] == [("e1", True)]
        resume = pb.ExecutionOrder(execution_id="e1", resume=pb.ResumeExecution(stdout_offset=2, credit=1000))
        second.say(pb.AdminFrame(orders=pb.ExecutionOrders(orders=[resume])))
        go.touch()
        await eventually(lambda: any(report.HasField("end") for report in reports(second.frames)))
        assert output(second.frames) == b"b\n"
        forget = pb.ExecutionOrder(execution_id="e1", acknowledge_end=pb.AcknowledgeEnd())
        second.say(pb.AdminFrame(orders=pb.ExecutionOrders(orders=[forget])), pb.AdminFrame(ping=pb.Ping()))
        await second.heard("pong")
        second.hang_up()
        assert list((await admin.visit(3)).hello.executions) == []


@pytest.mark.parametrize("count", [1, 2])
async def test_an_admin_that_says_when_to_come_back_is_not_asked_before(tmp_path: Path, count: int) -> None:
    async with an_admin() as admin:
        waits = await waits_after_goodbyes(admin, [admin.url, "https://127.0.0.1:1"][:count])
        assert waits
        assert min(waits) >= 7.5


async def waits_after_goodbyes(admin: ScriptedAdmin, urls: list[str]) -> list[float]:
    """How long the agent means to wait after each goodbye that asks for 7.5 seconds."""
    waits: list[float] = []
    ends: list[str] = []

    async def note_wait(seconds: float) -> None:
        if "later" in ends[-1]:
            waits.append(seconds)
        if len(waits) == 3:
            dialler.stop()

    def goodbye(_: pb.Welcome) -> None:
        admin.visits[-1].say_goodbye("a_reason", message="later", retry_after=LATER)

    dialler = Dialler(
        trusted=lambda: (urls, [AUTHORITY.der]),
        token="token",
        new_session=lambda _: a_session(lambda: 0.0, executions=NoExecutions(), welcomed=goodbye),
        note=lambda _, error: ends.append(error),
        sleep=note_wait,
    )
    await dialler.run()
    return waits


async def test_an_admin_that_does_not_shake_hands_in_time_is_given_room() -> None:
    async with a_service(silence) as port:
        url = f"https://127.0.0.1:{port}"
        waits = [await wait_after_one_try(url, welcome_within=timedelta(milliseconds=200)) for _ in range(8)]
    # The largest of eight random parts of the longest wait; by the other rule each would be a quarter of a second.
    assert max(waits) > LONGEST_WAIT_SECONDS / 8


async def wait_after_one_try(url: str, *, welcome_within: timedelta) -> float:
    """How long the agent means to wait after its first try."""
    waits: list[float] = []

    async def note_wait(seconds: float) -> None:
        waits.append(seconds)
        dialler.stop()

    dialler = Dialler(
        trusted=lambda: ([url], [AUTHORITY.der]),
        token="token",
        new_session=lambda _: a_session(lambda: 0.0, executions=NoExecutions()),
        note=lambda *_: None,
        sleep=note_wait,
        welcome_within=welcome_within,
    )
    await dialler.run()
    return waits[0]


LATER = Duration(seconds=7, nanos=500_000_000)


def reports(frames: list[pb.AgentFrame]) -> list[pb.ExecutionReport]:
    return [report for frame in frames for report in frame.reports.reports]


def output(frames: list[pb.AgentFrame]) -> bytes:
    stdout = command_pb2.OUTPUT_STREAM_STDOUT
    return b"".join(report.output.data for report in reports(frames) if report.output.stream == stdout)
