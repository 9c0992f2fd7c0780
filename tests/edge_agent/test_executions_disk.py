"""A node with a full disk, a real one: new work is refused, what runs goes on, its end is told when there is room."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_wire.v1 import command_pb2
from tests.edge_agent.node import Node
from tests.edge_agent.test_executions import waits_for
from tests.support.eventually import eventually

pytestmark = pytest.mark.root


class Disk:
    """A small file system in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as file:
            size = 64 * 1024
            while size:
                try:
                    file.write(b"x" * size)
                except OSError:
                    size //= 2

    def make_room(self) -> None:
        self._ballast.unlink()


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Disk]:
    """Mounted where the node keeps its data."""
    path = tmp_path / "data"
    path.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "edge-test", str(path)], check=True)
    try:
        yield Disk(path)
    finally:
        await eventually(lambda: subprocess.run(["umount", str(path)], check=False).returncode == 0)


@pytest.fixture
async def node(tmp_path: Path, disk: Disk) -> AsyncIterator[Node]:
    """Ends before its disk goes."""
    node = Node(tmp_path / "data")
    try:
        yield node
    finally:
        await node.clean_up()


async def filled(node: Node, disk: Disk, log: Path) -> list[str]:
    """Fill the disk and give orders until one is refused; the last page of the journal may take a few."""
    disk.fill()
    accepted: list[str] = []
    for _ in range(100):
        execution_id = node.run(f"echo ran >> {log}")
        await node.until(
            lambda given=execution_id: node.told(given, "refused") or node.told(given, "started"),  # type: ignore[misc]
            "an answer",
        )
        if node.told(execution_id, "refused"):
            assert node.told(execution_id, "refused")[0].refused.code == "journal_full"
            return accepted
        accepted.append(execution_id)
    raise AssertionError("the disk is not full")


async def test_a_full_disk_refuses_new_work_and_disturbs_nothing_that_runs(
    node: Node, disk: Disk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await node.start(concurrency=5)
    go, log = tmp_path / "go", tmp_path / "log"
    running = node.run(f"echo before; {waits_for(go)}; seq 200000; echo after >> {log}; exit 3", credit=7)
    others = [node.run(waits_for(go)) for _ in range(3)]  # whose ends take the last page of the journal
    pid, _ = await node.started(running), await node.started(others[-1])
    accepted = await filled(node, disk, log)
    go.touch()
    await node.until(lambda: log.exists() and "after" in log.read_text(), "the end of the program", within=20)
    await node.until(lambda: "waits for the disk" in caplog.text, "an end that waits for the disk")
    await node.restart()  # still full
    assert running in [item.execution_id for item in node.executions.inventory()]
    disk.make_room()
    for execution_id in [*others, *accepted]:
        node.resume(execution_id)
        assert (await node.end(execution_id)).outcome == command_pb2.OUTCOME_OK
    node.resume(running)
    end = await node.end(running)
    assert (end.outcome, end.exit_code, end.truncated) == (command_pb2.OUTCOME_FAILED, 3, True)
    assert end.stdout_bytes == len("before\n") + sum(len(f"{number}\n") for number in range(1, 200001))
    assert node.output_of(running).startswith(b"before\n")
    assert len(node.told(running, "gap")) >= 1
    assert await node.started(running) == pid
    assert sorted(log.read_text().split()) == sorted(["after", *(["ran"] * len(accepted))])
    assert (await node.end(node.run("true"))).outcome == command_pb2.OUTCOME_OK


async def test_a_runner_that_dies_on_a_full_disk_is_replaced_and_its_executions_are_lost_once_there_is_room(
    node: Node, disk: Disk, tmp_path: Path
) -> None:
    await node.start()
    running = node.run("sleep 1000")
    await node.started(running)
    accepted = await filled(node, disk, tmp_path / "log")
    for execution_id in accepted:
        await node.until(lambda: node.executions.snapshot()["running"] == 1, "the end of the short ones")
        assert execution_id
    node.kill_runner()
    await node.until(lambda: node.executions.snapshot()["running"] == 0, "the notice of its death")
    disk.make_room()
    end = await node.end(running)
    assert (end.outcome, end.error_code) == (command_pb2.OUTCOME_LOST, "runner_died")
    assert (await node.end(node.run("true"))).outcome == command_pb2.OUTCOME_OK
