"""Many short executions one after another leave nothing behind: no descriptors, no files, no memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.edge_agent.node import Node
from tests.support.eventually import eventually

COUNT = 2000
AT_ONCE = 100
SETTLED_AFTER = 5
"""Rounds until what is made once is there."""
MEMORY_SLACK_KIB = 4096


def resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def spooled(node: Node) -> list[str]:
    """Output that the runner keeps on disk."""
    return os.listdir(node.data_dir / "runner" / "spool")


async def a_round(node: Node) -> None:
    """Some that say little and one that is spooled to a file; all are acknowledged."""
    ids = [node.run("echo hi") for _ in range(AT_ONCE - 1)]
    ids.append(node.run("seq 20000"))
    # The end is the last word about each.
    await eventually(lambda: sum(r.HasField("end") for r in node.reports) == AT_ONCE, within=120, what="all ends")
    for execution_id in ids:
        node.acknowledge(execution_id)
    node.reports.clear()


@pytest.mark.slow
async def test_many_short_executions_leave_nothing_behind(node: Node) -> None:
    await node.start(concurrency=16)
    runner = node.runner_pid
    for _ in range(SETTLED_AFTER):
        await a_round(node)
    assert (await node.end(node.run("true"))).exit_code == 0
    await eventually(lambda: not spooled(node), what="the runner has forgotten them too")
    node.reports.clear()
    before = descriptors(os.getpid()), descriptors(runner), resident_kib(runner)
    for _ in range(COUNT // AT_ONCE - SETTLED_AFTER):
        await a_round(node)
    assert (await node.end(node.run("true"))).exit_code == 0
    assert node.runner_pid == runner
    await eventually(lambda: not spooled(node), what="the runner has forgotten them too")
    assert (descriptors(os.getpid()), descriptors(runner)) == before[:2]
    assert resident_kib(runner) < before[2] + MEMORY_SLACK_KIB
    assert len(node.executions.inventory()) == 2
    assert [path.name for path in (node.data_dir / "executions").iterdir()] == ["journal"]
    assert (node.data_dir / "executions" / "journal").stat().st_size < 5 * 1024 * 1024
