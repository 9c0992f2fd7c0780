"""Ends that somebody or something asks for: time-outs, stops, processes left behind, and the runner's own end."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.runner import leftovers
from tests.edge_agent.processes import Agent, Runner, is_alive
from tests.support.eventually import eventually

STUBBORN_CHILD = """sh -c 'trap "" TERM; echo $$; exec sleep 1000' & wait"""
"""Tells the pid of a child that ignores SIGTERM, once it does."""
POLITE = """trap 'echo bye; exit 3' TERM; echo ready; sleep 1000 & wait"""


@pytest.fixture
def not_reaping() -> Iterator[None]:
    """Orphans come to this process, which reaps none: as process 1 of many containers does."""
    prctl, set_child_subreaper = ctypes.CDLL(None).prctl, 36
    prctl(set_child_subreaper, 1)
    yield
    prctl(set_child_subreaper, 0)


def seconds_of_cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def stubborn_pid(agent: Agent, execution_id: str) -> int:
    return int(agent.take("output", execution_id).payload)


def test_a_stop_leaves_the_program_time_to_end_itself(agent: Agent) -> None:
    execution_id = agent.start("sh", "-c", POLITE)
    assert agent.take("output", execution_id).payload == b"ready\n"
    agent.send("stop", id=execution_id, kill_after=15.0)
    end = agent.take_end(execution_id)
    assert (end.fields["stop_reason"], end.fields["exit_code"], end.stdout) == ("cancelled", 3, b"bye\n")


async def test_a_stop_ends_the_whole_group_and_what_ignores_it_is_killed(agent: Agent, runner: Runner) -> None:
    execution_id = agent.start("sh", "-c", STUBBORN_CHILD)
    child = stubborn_pid(agent, execution_id)
    agent.send("stop", id=execution_id, kill_after=0.2)
    end = agent.take_end(execution_id)
    assert (end.fields["stop_reason"], end.fields["signal"]) == ("cancelled", "SIGTERM")
    await eventually(lambda: not is_alive(child), what="the end of the stubborn child")
    assert runner.marked() == []


async def test_a_program_that_ignores_a_stop_itself_is_killed(agent: Agent, runner: Runner) -> None:
    execution_id = agent.start("sh", "-c", "trap '' TERM; echo ready; sleep 1000")
    agent.take("output", execution_id)
    agent.send("stop", id=execution_id, kill_after=0.2)
    end = agent.take_end(execution_id)
    assert (end.fields["stop_reason"], end.fields["signal"]) == ("cancelled", "SIGKILL")
    await eventually(lambda: runner.marked() == [])


async def test_a_stop_reaches_a_child_that_left_the_group(agent: Agent, runner: Runner) -> None:
    execution_id = agent.start("sh", "-c", "setsid sh -c 'echo $$; exec sleep 1000' & wait")
    child = int(agent.take("output", execution_id).payload)
    agent.send("stop", id=execution_id, kill_after=5.0)
    agent.take_end(execution_id)
    await eventually(lambda: not is_alive(child))


async def test_a_timeout_ends_the_whole_group(agent: Agent, runner: Runner) -> None:
    execution_id = agent.start("sh", "-c", STUBBORN_CHILD, timeout=1.0, kill_after=0.2)
    child = stubborn_pid(agent, execution_id)
    end = agent.take_end(execution_id)
    assert (end.fields["stop_reason"], end.fields["signal"]) == ("timed_out", "SIGTERM")
    await eventually(lambda: not is_alive(child))


def test_a_program_that_is_done_in_time_never_times_out(agent: Agent) -> None:
    assert agent.run("true", timeout=60.0).fields["stop_reason"] == ""


def test_a_stop_after_the_end_changes_nothing(agent: Agent) -> None:
    execution_id = agent.start("sh", "-c", "exit 4")
    agent.take_end(execution_id)
    agent.send("stop", id=execution_id, kill_after=0.0)
    agent.resume(execution_id)
    end = agent.take("ended", execution_id)
    assert (end.fields["stop_reason"], end.fields["exit_code"]) == ("", 4)


def test_the_first_reason_to_stop_is_the_one_that_is_told(agent: Agent) -> None:
    execution_id = agent.start("sh", "-c", "trap '' TERM; echo ready; sleep 1000", timeout=0.5, kill_after=60.0)
    agent.take("output", execution_id)
    agent.send("stop", id=execution_id, kill_after=1.0)
    assert agent.take("ended", execution_id).fields["stop_reason"] == "cancelled"


def test_a_stop_does_not_wait_for_processes_that_are_dead_but_not_reaped(agent: Agent, not_reaping: None) -> None:
    execution_id = agent.start("sh", "-c", "sleep 1000 & echo $!; wait")
    child = int(agent.take("output", execution_id).payload)
    agent.connection.settimeout(5)
    try:
        agent.send("stop", id=execution_id, kill_after=3600.0)
        assert agent.take("ended", execution_id).fields["stop_reason"] == "cancelled"
    finally:
        os.waitpid(child, 0)


# --- processes that outlive the main one ---------------------------------------------------------------------------


def test_a_background_process_that_holds_the_output_open_does_not_hold_up_the_end(agent: Agent, runner: Runner) -> None:
    end = agent.run("sh", "-c", "sleep 1000 & echo hi")
    assert (end.fields["exit_code"], end.stdout) == (0, b"hi\n")
    assert end.fields["held_open"] is True


def test_a_background_process_with_its_output_elsewhere_is_left_alone(agent: Agent, runner: Runner) -> None:
    end = agent.run("sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!")
    assert end.fields["held_open"] is False
    assert is_alive(int(end.stdout))


def test_what_a_background_process_says_within_a_second_is_still_taken(agent: Agent) -> None:
    end = agent.run("sh", "-c", "(sleep 0.1; echo late) & echo early")
    assert (end.stdout, end.fields["held_open"]) == (b"early\nlate\n", False)


# --- the runner's end ----------------------------------------------------------------------------------------------


def test_a_terminated_runner_ends_everything_that_runs(agent: Agent, runner: Runner) -> None:
    polite = agent.start("sh", "-c", POLITE)
    stubborn = agent.start("sh", "-c", STUBBORN_CHILD)
    pids = [agent.take("started", polite).fields["pid"], stubborn_pid(agent, stubborn)]
    runner.process.send_signal(signal.SIGTERM)
    assert runner.process.wait(20) == 0
    assert runner.marked() == []
    assert [pid for pid in pids if is_alive(pid)] == []


def test_a_terminated_runner_ends_a_program_that_has_cleared_its_environment(agent: Agent, runner: Runner) -> None:
    pid = agent.take("started", agent.start("env", "-i", "sh", "-c", "echo ready; exec sleep 1000")).fields["pid"]
    assert agent.take("output").payload == b"ready\n"
    runner.process.send_signal(signal.SIGTERM)
    assert runner.process.wait(20) == 0
    assert not is_alive(pid)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_terminal_that_goes_away_does_not_end_the_runner(
    agent: Agent, runner: Runner, number: signal.Signals
) -> None:
    runner.process.send_signal(number)
    assert agent.run("echo", "still here").stdout == b"still here\n"
    before = seconds_of_cpu(runner.process.pid)
    agent.run("sleep", "0.5")
    assert seconds_of_cpu(runner.process.pid) - before < 0.25


async def test_what_a_killed_runner_left_is_found_by_its_mark_and_ended(agent: Agent, runner: Runner) -> None:
    polite = agent.start("sh", "-c", POLITE)
    stubborn = agent.start("sh", "-c", STUBBORN_CHILD)
    agent.take("output", polite)
    child = stubborn_pid(agent, stubborn)
    runner.process.kill()
    runner.process.wait()
    assert child in runner.marked()

    assert leftovers.end_all(runner.ids, {}, grace_seconds=0.2) == len({polite, stubborn}) * 2

    assert runner.marked() == []
    await eventually(lambda: not is_alive(child))
