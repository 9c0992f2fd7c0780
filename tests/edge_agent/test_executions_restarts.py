"""Agents restart and runners die: what runs is adopted, what cannot be known is called lost, and nothing runs twice."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_agent.executions.runner_client import RunnerClient
from edge_agent.runner import leftovers
from edge_wire.v1 import command_pb2, error_pb2
from tests.edge_agent.node import Node
from tests.edge_agent.processes import is_alive, kill
from tests.edge_agent.test_executions import waits_for

READY_SLEEPER = "echo ready; sleep 1000 & wait"


async def test_what_runs_is_adopted_after_a_restart_and_its_end_reported(node: Node, tmp_path: Path) -> None:
    await node.start()
    execution_id = node.run(f"echo before; {waits_for(tmp_path / 'go')}; echo after; exit 3")
    pid = await node.started(execution_id)
    await node.output(execution_id, b"before\n")

    await node.restart()
    item = node.executions.inventory()[0]
    assert (item.execution_id, item.started, item.ended) == (execution_id, True, False)
    assert node.executions.snapshot()["running"] == 1
    (tmp_path / "go").touch()
    node.resume(execution_id, stdout=7)
    end = await node.end(execution_id)
    assert (end.outcome, end.exit_code, end.stdout_bytes) == (command_pb2.OUTCOME_FAILED, 3, 13)
    assert node.output_of(execution_id) == b"after\n"
    assert await node.started(execution_id) == pid


async def test_what_ended_while_no_agent_was_there_is_reported(node: Node, tmp_path: Path) -> None:
    await node.start()
    execution_id = node.run(f"{waits_for(tmp_path / 'go')}; echo done")
    pid = await node.started(execution_id)
    await node.stop()
    (tmp_path / "go").touch()
    await node.until(lambda: not is_alive(pid), "the end of the program")
    await node.start()
    node.resume(execution_id)
    assert (await node.end(execution_id)).outcome == command_pb2.OUTCOME_OK
    assert node.output_of(execution_id) == b"done\n"


async def test_an_end_on_disk_is_reported_after_a_restart_until_it_is_acknowledged(node: Node) -> None:
    await node.start()
    execution_id = node.run("echo hi; exit 3")
    first = await node.end(execution_id)
    await node.restart()
    node.resume(execution_id)
    assert await node.end(execution_id) == first
    assert node.output_of(execution_id) == b"hi\n"
    node.acknowledge(execution_id)
    await node.restart()
    assert node.executions.inventory() == []


async def test_a_start_that_is_sent_again_after_a_restart_starts_nothing(node: Node, tmp_path: Path) -> None:
    shell = f"echo ran >> {tmp_path / 'log'}; {READY_SLEEPER}"
    await node.start()
    execution_id = node.run(shell)
    pid = await node.started(execution_id)
    await node.restart()
    node.run(shell, execution_id=execution_id)
    assert await node.started(execution_id) == pid
    await node.output(execution_id, b"ready\n")
    node.cancel(execution_id)
    assert (await node.end(execution_id)).outcome == command_pb2.OUTCOME_CANCELLED
    assert (tmp_path / "log").read_text() == "ran\n"


async def test_what_waited_is_run_after_a_restart_once(node: Node, tmp_path: Path) -> None:
    await node.start(concurrency=1)
    first = node.run(READY_SLEEPER)
    await node.started(first)
    second = node.run(f"echo ran >> {tmp_path / 'log'}")
    await node.until(lambda: node.executions.snapshot()["waiting"] == 1, "one that waits")
    await node.restart(concurrency=1)
    node.resume(second)
    assert node.executions.snapshot() == {"waiting": 1, "running": 1, "unacknowledged": 0}
    node.cancel(first)
    assert (await node.end(second)).outcome == command_pb2.OUTCOME_OK
    assert (tmp_path / "log").read_text() == "ran\n"


async def test_what_the_journal_does_not_know_is_stopped(node: Node) -> None:
    await node.start()
    execution_id = node.run(READY_SLEEPER)
    pid = await node.started(execution_id)
    await node.stop()
    (node.data_dir / "executions" / "journal").unlink()
    await node.start()
    await node.until(lambda: not is_alive(pid), "the end of a stranger")
    assert node.executions.inventory() == []


# --- the runner dies -----------------------------------------------------------------------------------------------


async def test_a_killed_runner_makes_its_executions_lost_and_none_of_them_runs_on(node: Node) -> None:
    await node.start()
    execution_id = node.run("sh -c 'trap \"\" TERM; echo $$; exec sleep 1000' & wait")
    await node.until(lambda: node.output_of(execution_id), "the pid of a stubborn child")
    child, pid = int(node.output_of(execution_id)), await node.started(execution_id)
    node.kill_runner()
    end = await node.end(execution_id)
    assert not is_alive(pid)
    assert not is_alive(child)
    assert (end.outcome, end.started) == (command_pb2.OUTCOME_LOST, error_pb2.STARTED_YES)
    assert (end.error_code, end.truncated) == ("runner_died", True)
    assert (await node.end(node.run("true"))).outcome == command_pb2.OUTCOME_OK


async def test_a_runner_killed_while_no_agent_was_there_leaves_lost_ones_to_the_next(node: Node) -> None:
    await node.start()
    execution_id = node.run(READY_SLEEPER)
    pid = await node.started(execution_id)
    await node.output(execution_id, b"ready\n")
    await node.stop()
    runner_pid = node.kill_runner()
    await node.until(lambda: not is_alive(runner_pid), "the end of the runner")
    assert is_alive(pid)
    await node.start()
    assert leftovers.find_marked({execution_id}) == []
    node.resume(execution_id)
    end = await node.end(execution_id)
    assert (end.outcome, end.error_code) == (command_pb2.OUTCOME_LOST, "runner_died")


async def test_a_lost_program_that_cleared_its_environment_is_ended_too(node: Node) -> None:
    await node.start()
    execution_id = node.run("exec env -i sh -c 'echo ready; exec sleep 1000'")
    pid = await node.started(execution_id)
    await node.output(execution_id, b"ready\n")
    try:
        node.kill_runner()
        await node.end(execution_id)
        assert not is_alive(pid)
    finally:
        kill(pid)


async def test_a_lost_end_is_reported_after_a_restart_as_it_was(node: Node) -> None:
    await node.start()
    execution_id = node.run(READY_SLEEPER)
    await node.started(execution_id)
    node.kill_runner()
    first = await node.end(execution_id)
    await node.restart()
    node.resume(execution_id)
    assert await node.end(execution_id) == first


async def test_an_end_on_disk_stays_what_it_was_when_the_runner_dies(node: Node, tmp_path: Path) -> None:
    await node.start()
    execution_id = node.run("echo hi; exit 3")
    await node.end(execution_id)
    lost = node.run(READY_SLEEPER)
    await node.started(lost)
    node.kill_runner()
    await node.end(lost)
    node.attach()
    node.resume(execution_id)
    end = await node.end(execution_id)
    assert (end.outcome, end.exit_code, end.truncated) == (command_pb2.OUTCOME_FAILED, 3, True)


async def test_an_end_whose_output_died_with_the_runner_is_reported_in_the_same_session(node: Node) -> None:
    await node.start()
    execution_id = node.run("echo more than there is credit for", credit=4)
    await node.until(lambda: node.executions.inventory()[0].ended, "an end on disk")
    await node.output(execution_id, b"more")
    node.kill_runner()
    end = await node.end(execution_id, within=5)
    assert (end.outcome, end.truncated) == (command_pb2.OUTCOME_OK, True)


async def test_a_new_runner_removes_the_spool_of_a_dead_one(node: Node) -> None:
    await node.start()
    execution_id = node.run("seq 40000; sleep 1000", credit=0)
    spool = node.data_dir / "runner" / "spool"
    await node.until(lambda: spool.is_dir() and list(spool.iterdir()), "a spool file")
    node.kill_runner()
    assert (await node.end(execution_id)).outcome == command_pb2.OUTCOME_LOST
    node.acknowledge(execution_id)
    assert (await node.end(node.run("true"))).outcome == command_pb2.OUTCOME_OK
    assert list(spool.iterdir()) == []


@contextmanager
def no_new_runner(node: Node) -> Iterator[None]:
    """A runner that is launched now waits for the end of the block, as if the machine were slow."""
    lock = os.open(node.data_dir / "runner" / "lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


async def test_an_order_that_comes_between_two_runners_is_run_by_the_second(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    await node.start()
    await node.end(node.run("true"))
    node.kill_runner()
    with no_new_runner(node), caplog.at_level(logging.ERROR):
        await node.until(lambda: "the runner died" in caplog.text, "the notice of its death")
        execution_id = node.run("echo hi")
        await node.until(
            lambda: node.executions.snapshot()["waiting"] + node.executions.snapshot()["running"], "an accepted order"
        )
    end = await node.end(execution_id)
    assert (end.outcome, node.output_of(execution_id)) == (command_pb2.OUTCOME_OK, b"hi\n")


async def test_an_agent_that_finds_a_runner_on_its_way_out_starts_another(node: Node, tmp_path: Path) -> None:
    await node.start()
    told = tmp_path / "told"
    execution_id = node.run(f"trap 'touch {told}' TERM; echo ready; while true; do sleep 0.1; done")
    await node.output(execution_id, b"ready\n")
    await node.stop()
    os.kill(node.runner_pid, signal.SIGTERM)
    await node.until(told.exists, "a runner that is busy with ending what runs")
    client = RunnerClient(node.data_dir / "runner", hidden=[], told=lambda _: None, died=lambda: None)
    try:
        await client.connect()
    finally:
        await client.close()
    assert client.executions == {}


async def test_what_waited_while_agent_and_runner_died_is_run_once(node: Node, tmp_path: Path) -> None:
    await node.start(concurrency=1)
    first = node.run(READY_SLEEPER)
    await node.started(first)
    second = node.run(f"echo ran >> {tmp_path / 'log'}")
    await node.until(lambda: node.executions.snapshot()["waiting"] == 1, "one that waits")
    await node.stop()
    runner_pid = node.kill_runner()
    await node.until(lambda: not is_alive(runner_pid), "the end of the runner")
    await node.start(concurrency=1)
    node.resume(first)
    node.resume(second)
    assert (await node.end(first)).outcome == command_pb2.OUTCOME_LOST
    assert (await node.end(second)).outcome == command_pb2.OUTCOME_OK
    assert (tmp_path / "log").read_text() == "ran\n"


async def test_what_waited_is_not_run_after_a_reboot_and_says_that_it_never_started(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.start(concurrency=1)
    first = node.run(READY_SLEEPER)
    await node.started(first)
    second = node.run(f"echo ran >> {tmp_path / 'log'}")
    await node.until(lambda: node.executions.snapshot()["waiting"] == 1, "one that waits")
    await node.stop()
    node.kill_runner()
    monkeypatch.setattr(leftovers, "boot_id", lambda: "another boot")
    await node.start(concurrency=1)
    node.resume(first)
    node.resume(second)
    lost, unstarted = await node.end(first), await node.end(second)
    assert (lost.outcome, lost.error_code) == (command_pb2.OUTCOME_LOST, "machine_rebooted")
    assert (unstarted.outcome, unstarted.started) == (command_pb2.OUTCOME_FAILED, error_pb2.STARTED_NO)
    assert not (tmp_path / "log").exists()
