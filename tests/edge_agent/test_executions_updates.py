"""An agent of another version than the runner that it finds: what runs goes on; a runner that is idle is replaced."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.executions import runner_client
from edge_agent.runner import protocol
from edge_wire.errors import ProtocolUnsupported
from edge_wire.release import PROGRAM
from edge_wire.v1 import command_pb2, error_pb2
from tests.edge_agent.node import Node
from tests.edge_agent.processes import Runner, is_alive
from tests.edge_agent.test_executions import waits_for

BEFORE_VERSIONS = """
from edge_agent.runner import agent_link, spawn
send = agent_link.AgentLink.send
def send_less(self, type_, **fields):
    for name in ("protocols", "program"):
        fields.pop(name, None)
    send(self, type_, **fields)
agent_link.AgentLink.send = send_less
spawn._KNOWN -= {"working_directory"}
"""
"""A runner of a program that said no version yet and did not know working directories."""


@pytest.fixture
def old_runner(node: Node) -> Iterator[Runner]:
    """Another version's runner, in the place of the node's; not launched yet."""
    node.data_dir.mkdir()
    runner = Runner(node.data_dir / "runner")
    try:
        yield runner
    finally:
        runner.clean_up()


async def launched(runner: Runner, *, change: str = "", program: str = PROGRAM) -> None:
    """Launch it and wait until it listens."""
    runner.launch(change=change, program=program)
    (await runner.connect()).close()


async def test_what_runs_in_an_older_runner_is_found_with_its_output_and_its_exit_status(
    node: Node, old_runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await launched(old_runner, change=BEFORE_VERSIONS)
    with monkeypatch.context() as before_the_update:
        before_the_update.setattr(runner_client, "PROGRAM", "")
        await node.start()
        execution_id = node.run(f"echo before; {waits_for(tmp_path / 'go')}; echo after; exit 3")
        pid = await node.started(execution_id)
        await node.output(execution_id, b"before\n")
        await node.stop()

    await node.start()
    node.resume(execution_id)
    assert await node.started(execution_id) == pid
    beside = node.run("echo beside")
    assert (await node.end(beside)).outcome == command_pb2.OUTCOME_OK
    (tmp_path / "go").touch()
    end = await node.end(execution_id)
    assert (end.outcome, end.exit_code) == (command_pb2.OUTCOME_FAILED, 3)
    assert (node.output_of(execution_id), node.output_of(beside)) == (b"before\nafter\n", b"beside\n")
    assert node.runner_pid == old_runner.process.pid


async def test_what_an_older_runner_cannot_do_is_refused_until_it_is_idle_and_then_a_new_one_does_it(
    node: Node, old_runner: Runner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await launched(old_runner, change=BEFORE_VERSIONS)
    with pytest.MonkeyPatch.context() as before_the_update:
        before_the_update.setattr(runner_client, "PROGRAM", "")
        await node.start()
        running = node.run("sleep 1000")
        await node.started(running)
        await node.stop()

    await node.start()
    node.resume(running)
    refused = node.run("pwd", working_directory=str(tmp_path))
    end = await node.end(refused)
    assert (end.started, end.error_code) == (error_pb2.STARTED_NO, "spawn_failed")
    assert "older" in end.error_message
    node.cancel(running)
    await node.end(running)
    with caplog.at_level(logging.INFO):
        node.acknowledge(refused)
        node.acknowledge(running)  # nothing is kept in the old one any more
        done = node.run("pwd", working_directory=str(tmp_path))
        assert (await node.end(done)).outcome == command_pb2.OUTCOME_OK
    assert node.output_of(done) == f"{tmp_path}\n".encode()
    assert old_runner.process.wait(20) == 0
    assert node.runner_pid != old_runner.process.pid
    assert "the runner died" not in caplog.text


async def test_an_idle_runner_of_another_version_is_replaced_at_once(node: Node, old_runner: Runner) -> None:
    await launched(old_runner, program="0.0.9")
    await node.start()
    assert (await node.end(node.run("true"))).outcome == command_pb2.OUTCOME_OK
    assert old_runner.process.wait(20) == 0


async def test_a_runner_of_the_same_version_stays(node: Node, old_runner: Runner) -> None:
    await launched(old_runner)
    await node.start()
    for _ in range(2):
        execution_id = node.run("true")
        await node.end(execution_id)
        node.acknowledge(execution_id)
    await node.end(node.run("true"))
    assert node.runner_pid == old_runner.process.pid


async def test_orders_that_come_while_the_runner_is_replaced_all_run_once(
    node: Node, old_runner: Runner, tmp_path: Path
) -> None:
    await launched(old_runner, program="0.0.9")
    await node.start(concurrency=3)
    ids = [node.run(f"echo {number} >> {tmp_path / 'log'}") for number in range(20)]
    for execution_id in ids:
        assert (await node.end(execution_id)).outcome == command_pb2.OUTCOME_OK
    assert sorted((tmp_path / "log").read_text().split(), key=int) == [str(number) for number in range(20)]


async def test_a_runner_that_speaks_no_common_protocol_is_left_alone(node: Node, old_runner: Runner) -> None:
    change = "from edge_agent.runner import protocol; protocol.PROTOCOLS = (7, 8)"
    await launched(old_runner, change=change, program="99.0.0")
    first = await old_runner.connect()
    pid = int(first.take("started", first.start("sleep", "1000")).fields["pid"])
    first.close()
    with pytest.raises(ProtocolUnsupported, match="runner"):
        await node.start()
    assert old_runner.process.poll() is None
    assert is_alive(pid)


@pytest.mark.parametrize(("theirs", "expected"), [([1], 1), ([0, 1, 2], 1), ([2], None), ([], None)])
def test_the_newest_common_protocol_is_spoken(theirs: list[int], expected: int | None) -> None:
    assert protocol.agreed(theirs) == expected
