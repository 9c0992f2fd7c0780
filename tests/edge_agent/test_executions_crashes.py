"""The agent is killed at every step of the life of an execution: it runs once, and its true end is told."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from edge_agent.executions.runner_client import RunnerClient
from edge_wire.v1 import command_pb2
from tests.edge_agent.crashing_agent import MOMENTS
from tests.edge_agent.node import Node
from tests.edge_agent.processes import new_id
from tests.support.programs import clean_environment

NEVER_ACCEPTED = {"before record accepted", "within record accepted"}
FORGOTTEN = {"unsynced record forgotten", "after record forgotten"}


async def killed_at(moment: str, node: Node, execution_id: str, shell: str) -> None:
    """One life of an agent that takes the order and dies at this moment."""
    node.ids.add(execution_id)
    words = [sys.executable, "-m", "tests.edge_agent.crashing_agent", str(node.data_dir), moment, execution_id, shell]
    process = await asyncio.create_subprocess_exec(*words, env=clean_environment({}))
    assert await process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("moment", MOMENTS)
async def test_an_agent_killed_at_any_moment_runs_it_once_and_tells_its_true_end(
    node: Node, tmp_path: Path, moment: str
) -> None:
    shell, execution_id = f"echo ran >> {tmp_path / 'log'}; echo out; exit 7", new_id()
    await killed_at(moment, node, execution_id, shell)

    await node.start()
    known = [item.execution_id for item in node.executions.inventory()]
    assert known == ([] if moment in NEVER_ACCEPTED | FORGOTTEN else [execution_id])
    node.run(shell, execution_id=execution_id)  # an admin that knows of no end sends it again
    end = await node.end(execution_id)
    if moment in FORGOTTEN:
        assert (end.outcome, end.error_code) == (command_pb2.OUTCOME_LOST, "unknown_to_node")
    else:
        assert (end.outcome, end.exit_code) == (command_pb2.OUTCOME_FAILED, 7)
    assert (tmp_path / "log").read_text() == "ran\n"

    node.acknowledge(execution_id)
    await node.restart()
    assert node.executions.inventory() == []


async def test_nothing_is_ordered_from_the_runner_before_it_is_on_the_disk(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten with two places: the first are recorded with the runner that gets them, the others when it is their turn."""
    journal = node.data_dir / "executions" / "journal"
    synced: list[bytes] = [b""]
    ordered: list[str] = []
    sync, send = os.fdatasync, RunnerClient.send

    def noted_sync(descriptor: int) -> None:
        sync(descriptor)
        synced[0] = journal.read_bytes()

    def checked_send(self: RunnerClient, type_: str, payload: bytes = b"", **fields: object) -> None:
        if type_ == "start":
            lines = [line for line in synced[0].splitlines() if str(fields["id"]).encode() in line]
            assert any(self.instance_id.encode() in line for line in lines)
            ordered.append(str(fields["id"]))
        send(self, type_, payload, **fields)

    await node.start(concurrency=2)
    monkeypatch.setattr(os, "fdatasync", noted_sync)
    monkeypatch.setattr(RunnerClient, "send", checked_send)
    ids = [node.run("true") for _ in range(10)]
    for execution_id in ids:
        assert (await node.end(execution_id)).outcome == command_pb2.OUTCOME_OK
    assert ordered == ids
