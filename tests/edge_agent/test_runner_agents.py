"""Agents come and go, say nonsense or nothing: what runs in the runner goes on, and the next agent hears of it."""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.runner import leftovers
from edge_agent.runner.protocol import HEADER_LIMIT, encode
from tests.edge_agent.processes import Agent, Runner, is_alive, new_id

DEEP = b"[" * 200_000
SLEEPER = "8b0f7c1e-4a3d-4a55-9d0e-6f2c1b7a9e10"


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process sleeps while the block builds up what it finds when it wakes."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_an_agent_is_welcomed_with_everything_that_is_kept(agent: Agent, runner: Runner) -> None:
    first = agent.take("welcome").fields
    assert first["executions"] == []
    running, over = agent.start("sleep", "1000"), agent.start("true")
    started = agent.take("started", running).fields
    agent.take("ended", over)

    second = (await runner.connect()).take("welcome").fields
    assert second["instance_id"] == first["instance_id"]
    told = {item["id"]: item for item in second["executions"]}
    assert told.keys() == {running, over}
    assert (told[running]["pid"], told[running]["ended"], told[over]["ended"]) == (started["pid"], False, True)
    assert told[running]["start_ticks"] == leftovers.start_ticks(started["pid"])


async def test_a_process_outlives_its_agent_and_the_next_one_takes_over(agent: Agent, runner: Runner) -> None:
    execution_id = agent.start("sh", "-c", "trap 'echo bye; exit 3' TERM; echo ready; sleep 1000 & wait")
    agent.take("output", execution_id)
    agent.close()
    following = await runner.connect()
    following.resume(execution_id)
    following.send("stop", id=execution_id, kill_after=5.0)
    end = following.take_end(execution_id)
    assert (end.stdout, end.fields["exit_code"]) == (b"ready\nbye\n", 3)


async def test_an_end_is_told_to_every_agent_until_it_is_forgotten(agent: Agent, runner: Runner) -> None:
    execution_id = agent.start("sh", "-c", "exit 4")
    agent.take("ended", execution_id)
    second = await runner.connect()
    assert second.take("ended", execution_id).fields["exit_code"] == 4
    second.send("forget", id=execution_id)
    assert second.run("true").fields["exit_code"] == 0  # by now it is forgotten
    third = await runner.connect()
    assert execution_id not in {item["id"] for item in third.take("welcome").fields["executions"]}


def test_an_id_that_is_known_is_not_started_again(agent: Agent, tmp_path: Path) -> None:
    program = ["sh", "-c", f"echo once >> {tmp_path / 'log'}; echo ready; sleep 1000"]
    execution_id = agent.start(*program, execution_id=new_id())
    first = agent.take("started", execution_id).fields
    agent.take("output", execution_id)
    agent.start(*program, execution_id=execution_id)
    assert agent.take("started", execution_id).fields == first
    agent.send("stop", id=execution_id, kill_after=5.0)
    agent.take("ended", execution_id)
    agent.start(*program, execution_id=execution_id)
    assert agent.run("cat", str(tmp_path / "log")).stdout == b"once\n"


def test_what_still_runs_cannot_be_forgotten(agent: Agent) -> None:
    execution_id = agent.start("sleep", "1000")
    agent.send("forget", id=execution_id)
    agent.send("stop", id=execution_id, kill_after=5.0)
    assert agent.take("ended", execution_id).fields["stop_reason"] == "cancelled"


# --- nonsense ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "nonsense",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="another protocol"),
        pytest.param(struct.pack(">II", HEADER_LIMIT + 1, 0), id="an oversized message"),
        pytest.param(encode("no-such-order"), id="an unknown order"),
        pytest.param(encode("start"), id="a start of nothing"),
        pytest.param(encode("stop", id=["7"], kill_after=1), id="an id that is a list"),
        pytest.param(encode("resume", id=SLEEPER, stdout_offset="x"), id="an offset that is text"),
        pytest.param(
            encode("credit", id=SLEEPER, total=math.inf),
            id="credit without end",
        ),
        pytest.param(
            struct.pack(">II", len(DEEP), 0) + DEEP,
            id="a header nested without end",
        ),
        pytest.param(
            encode("start", id="7", argv=[], timeout=None, kill_after=1, exact=False, spool_bytes=1),
            id="a program without a name",
        ),
    ],
)
async def test_nonsense_costs_the_agent_its_connection_and_nothing_else(
    agent: Agent, runner: Runner, nonsense: bytes
) -> None:
    instance_id = agent.take("welcome").fields["instance_id"]
    pid = agent.take("started", agent.start("sleep", "1000", execution_id=SLEEPER)).fields["pid"]
    agent.connection.sendall(nonsense)
    agent.wait_for_close()
    assert runner.process.poll() is None
    assert (await runner.connect()).take("welcome").fields["instance_id"] == instance_id
    assert is_alive(pid)


async def test_a_start_that_is_refused_leaves_no_process(agent: Agent, runner: Runner) -> None:
    agent.start("sleep", "1000", timeout="soon", credit=None)
    agent.wait_for_close()
    known = {item["id"] for item in (await runner.connect()).take("welcome").fields["executions"]}
    assert known == runner.ids or runner.marked() == []


def test_an_id_that_is_a_path_writes_nothing_outside_the_spool(agent: Agent, runner: Runner) -> None:
    agent.start("seq", "40000", execution_id="../../escaped", credit=None)
    agent.take("ended", "../../escaped")
    assert list(runner.directory.parent.glob("escaped*")) == []


async def test_a_new_agent_takes_the_place_of_one_that_has_more_to_say(agent: Agent, runner: Runner) -> None:
    agent.run("true")
    with stopped(runner.process.pid):
        following = await runner.connect()  # the kernel takes the connection; the runner will see it first
        agent.send("detach")
    assert following.run("echo", "hi").stdout == b"hi\n"


async def test_an_agent_that_comes_while_another_leaves_keeps_the_runner(agent: Agent, runner: Runner) -> None:
    agent.take("welcome")
    with stopped(runner.process.pid):
        agent.send("quit")
        agent.close()
        following = await runner.connect()
    assert following.run("echo", "hi").stdout == b"hi\n"


async def test_a_runner_without_free_file_descriptors_goes_on(agent: Agent, runner: Runner) -> None:
    pid = agent.take("started", agent.start("sleep", "1000")).fields["pid"]
    used = {int(name) for name in os.listdir(f"/proc/{runner.process.pid}/fd")}
    limits = resource.prlimit(runner.process.pid, resource.RLIMIT_NOFILE)
    with stopped(runner.process.pid):
        lowest_free = min(set(range(len(used) + 1)) - used)
        resource.prlimit(runner.process.pid, resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
        following = await runner.connect()
    assert agent.run("true").fields["error_code"] == "spawn_failed"
    resource.prlimit(runner.process.pid, resource.RLIMIT_NOFILE, limits)
    following.take("welcome")
    assert following.run("echo", "hi").stdout == b"hi\n"
    assert is_alive(pid)


# --- leaving -------------------------------------------------------------------------------------------------------


async def test_a_runner_with_nothing_to_keep_leaves_when_its_agent_does(agent: Agent, runner: Runner) -> None:
    execution_id = agent.start("true")
    agent.take("ended", execution_id)
    agent.send("forget", id=execution_id)
    agent.send("quit")
    assert runner.process.wait(20) == 0


async def test_a_runner_stays_for_what_runs_when_its_agent_leaves(agent: Agent, runner: Runner) -> None:
    execution_id = agent.start("sleep", "1000")
    agent.take("started", execution_id)
    agent.send("quit")
    agent.close()
    following = await runner.connect()
    assert [item["id"] for item in following.take("welcome").fields["executions"]] == [execution_id]
    following.send("stop", id=execution_id, kill_after=5.0)
    assert following.take("ended", execution_id).fields["stop_reason"] == "cancelled"


async def test_a_runner_stays_with_the_next_agent_although_an_earlier_one_left(agent: Agent, runner: Runner) -> None:
    execution_id = agent.start("true")
    agent.take_end(execution_id)  # a connection that is closed with something unread takes orders with it
    agent.send("quit")
    agent.close()
    second = await runner.connect()
    second.take("ended", execution_id)
    second.send("forget", id=execution_id)
    third = await runner.connect()
    assert third.run("echo", "hi").stdout == b"hi\n"


async def test_a_runner_without_an_agent_leaves_once_it_keeps_nothing(runner: Runner) -> None:
    runner.launch(idle_seconds=0.5)
    first = await runner.connect()
    execution_id = first.start("sh", "-c", "exit 4")
    first.take("ended", execution_id)
    first.close()
    second = await runner.connect()
    assert second.take("ended", execution_id).fields["exit_code"] == 4
    second.send("forget", id=execution_id)
    second.close()
    assert runner.process.wait(20) == 0


async def test_a_second_runner_of_a_directory_leaves_the_first_alone(agent: Agent, runner: Runner) -> None:
    first = runner.process
    assert runner.launch(idle_seconds=0.2).wait(20) == 0
    assert first.poll() is None
    assert (await runner.connect()).run("echo", "hi").stdout == b"hi\n"


async def test_a_runner_takes_over_the_directory_of_one_that_was_killed(agent: Agent, runner: Runner) -> None:
    instance_id = agent.take("welcome").fields["instance_id"]
    runner.process.kill()
    runner.process.wait()
    runner.launch()
    assert (await runner.connect()).take("welcome").fields["instance_id"] != instance_id


def test_only_the_owner_may_use_the_socket_and_the_pid_file_names_the_process(agent: Agent, runner: Runner) -> None:
    instance_id = agent.take("welcome").fields["instance_id"]
    pid = runner.process.pid
    assert (runner.directory / "sock").stat().st_mode & 0o777 == 0o600
    assert json.loads((runner.directory / "pid").read_text()) == {
        "pid": pid,
        "start_ticks": leftovers.start_ticks(pid),
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "instance_id": instance_id,
    }
