"""What is left of lost executions is ended, what merely looks like it is not, and `lost` is told until it is taken."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edge_agent.executions import journal_records
from edge_agent.runner import leftovers
from edge_wire.v1 import command_pb2
from tests.edge_agent.node import Node
from tests.edge_agent.processes import is_alive, new_id

RUNNER_OF_BEFORE = "a runner that is dead"


@contextmanager
def a_stranger() -> Iterator[int]:
    """A process that leads a group and is none of ours."""
    process = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def left_in_the_journal(node: Node, *, pid: int, start_ticks: int, boot_id: str) -> str:
    """What an agent of before wrote down of an execution that it saw running."""
    execution_id = new_id()
    entry = journal_records.Entry(id=execution_id, runner_instance=RUNNER_OF_BEFORE, boot_id=boot_id, request={})
    started = journal_records.started(execution_id, {"pid": pid, "start_ticks": start_ticks})
    directory = node.data_dir / "executions"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "journal").open("ab") as file:
        file.write(b"".join(journal_records.to_line(record) for record in (journal_records.accepted(entry), started)))
    return execution_id


async def test_a_process_that_got_the_pid_of_a_lost_one_is_left_alone(node: Node) -> None:
    with a_stranger() as pid:
        ticks = leftovers.start_ticks(pid)
        assert ticks is not None
        lost = left_in_the_journal(node, pid=pid, start_ticks=ticks - 1, boot_id=leftovers.boot_id())
        await node.start()
        node.resume(lost)
        assert (await node.end(lost)).error_code == "runner_died"
        assert is_alive(pid)


async def test_a_process_that_is_the_lost_one_by_pid_and_start_time_is_ended(node: Node) -> None:
    with a_stranger() as pid:
        ticks = leftovers.start_ticks(pid)
        assert ticks is not None
        lost = left_in_the_journal(node, pid=pid, start_ticks=ticks, boot_id=leftovers.boot_id())
        await node.start()
        node.resume(lost)
        assert (await node.end(lost)).error_code == "runner_died"
        assert not is_alive(pid)


async def test_after_a_reboot_no_process_is_taken_for_a_lost_one(node: Node) -> None:
    with a_stranger() as pid:
        ticks = leftovers.start_ticks(pid)
        assert ticks is not None
        lost = left_in_the_journal(node, pid=pid, start_ticks=ticks, boot_id="the boot before")
        await node.start()
        node.resume(lost)
        assert (await node.end(lost)).error_code == "machine_rebooted"
        assert is_alive(pid)


async def test_lost_is_told_in_every_session_until_it_is_taken_and_then_never_again(node: Node) -> None:
    lost = left_in_the_journal(node, pid=2**22 + 1, start_ticks=1, boot_id="the boot before")
    await node.start()
    node.resume(lost)
    first = await node.end(lost)
    assert first.outcome == command_pb2.OUTCOME_LOST
    await node.restart()
    node.resume(lost)
    assert await node.end(lost) == first
    assert len(node.told(lost, "end")) == 1
    node.acknowledge(lost)
    await node.restart()
    assert node.executions.inventory() == []


@pytest.mark.parametrize(
    "escape",
    [
        pytest.param("setsid sh -c 'echo $$; exec sleep 1000' &", id="a session of its own"),
        pytest.param("setsid sh -c \"sh -c 'echo \\$\\$; exec sleep 1000' &\" &", id="a double fork"),
        pytest.param("env -i sh -c 'echo $$; exec sleep 1000' &", id="an empty environment in the same group"),
    ],
)
async def test_children_that_went_their_own_way_are_ended_with_a_lost_one(node: Node, escape: str) -> None:
    await node.start()
    execution_id = node.run(f"{escape} exec sleep 1000")
    await node.until(lambda: node.output_of(execution_id).endswith(b"\n"), "the pid of the child")
    child = int(node.output_of(execution_id))
    assert is_alive(child)
    node.kill_runner()
    assert (await node.end(execution_id)).outcome == command_pb2.OUTCOME_LOST
    assert not is_alive(child)
