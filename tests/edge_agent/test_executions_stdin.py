"""Stdin and terminals from the admin's side: orders in, reports out, over restarts of the agent."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import pytest

from edge_agent.runner.stdin import LIMIT
from edge_wire.v1 import command_pb2
from edge_wire.v1 import session_pb2 as pb
from tests.edge_agent.node import STDERR, Node
from tests.edge_agent.processes import new_id
from tests.edge_agent.test_executions import waits_for

BLOCK = hashlib.sha512(b"edge").digest() * 16
LARGE = b"".join(b"%08d" % number + BLOCK[8:] for number in range(50 * 1024))
"""50 MiB in which every KiB is another."""
TERMINAL = command_pb2.Terminal(columns=90, rows=30, kind="xterm")


def peak_memory(pid: int) -> int:
    """Most bytes that a process ever had in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


async def test_50_mib_through_a_program_come_out_as_they_were_and_take_little_memory(node: Node) -> None:
    await node.start()
    execution_id = node.run("exec cat", has_stdin=True, exact_output=True)
    await node.feed(execution_id, LARGE)
    end = await node.end(execution_id)
    assert (end.outcome, end.truncated, end.stdout_bytes) == (command_pb2.OUTCOME_OK, False, len(LARGE))
    assert node.output_of(execution_id) == LARGE
    assert peak_memory(node.runner_pid) < 64 * 1024 * 1024


async def test_what_is_wanted_is_told_after_the_start_again_after_a_resume_and_at_the_end(node: Node) -> None:
    await node.start()
    execution_id = node.run("read line; echo $line; read line", has_stdin=True)
    await node.started(execution_id)
    await node.until(lambda: node.wanted(execution_id) == (0, LIMIT), "the first word about stdin")
    node.bring(execution_id, b"hello\n")
    await node.output(execution_id, b"hello\n")
    node.attach()
    assert node.wanted(execution_id) == (0, 0)
    node.resume(execution_id)
    await node.until(lambda: node.wanted(execution_id) == (6, 6 + LIMIT), "the word after a resume")
    node.bring(execution_id, b"bye\n", offset=6)
    await node.end(execution_id)
    assert node.wanted(execution_id) == (10, 10)
    kinds = [report.WhichOneof("report") for report in node.reports]
    assert kinds[-1] == "end"


async def test_a_start_that_is_sent_again_says_how_far_stdin_is_and_starts_nothing(node: Node) -> None:
    await node.start()
    execution_id = node.run("read line; echo $$; cat", has_stdin=True)
    await node.feed(execution_id, b"first\nsecond\n", upto=6)
    await node.until(lambda: node.output_of(execution_id), "a pid")
    pid = node.output_of(execution_id)
    node.attach()
    node.run("read line; echo $$; cat", execution_id=execution_id, has_stdin=True)
    await node.feed(execution_id, b"first\nsecond\n")
    await node.end(execution_id)
    assert node.output_of(execution_id) == pid + b"second\n"


async def test_stdin_goes_on_where_it_was_after_a_restart_of_the_agent(node: Node, tmp_path: Path) -> None:
    data = LARGE[: 2 * 1024 * 1024]
    await node.start()
    execution_id = node.run(f"{waits_for(tmp_path / 'go')}; exec cat", has_stdin=True, exact_output=True)
    await node.feed(execution_id, data, upto=LIMIT)
    await node.restart()
    node.resume(execution_id)
    (tmp_path / "go").touch()
    await node.feed(execution_id, data)
    assert (await node.end(execution_id)).outcome == command_pb2.OUTCOME_OK
    assert node.output_of(execution_id) == data


async def test_a_terminal_and_what_was_typed_survive_a_restart_of_the_agent(node: Node) -> None:
    await node.start()
    execution_id = node.run("read a; echo one; read b; stty size; tty; echo $a $b", terminal=TERMINAL)
    await node.feed(execution_id, b"yes\n-\n", upto=4)
    await node.until(lambda: b"one" in node.output_of(execution_id), "the first answer")
    await node.restart()
    node.resume(execution_id, stdout=0)
    node.resize(execution_id, 101, 31)
    await node.feed(execution_id, b"yes\nsir\n")
    assert (await node.end(execution_id)).outcome == command_pb2.OUTCOME_OK
    assert node.output_of(execution_id).split()[-5:-3] == [b"31", b"101"]
    assert node.output_of(execution_id).endswith(b"yes sir\r\n")
    assert node.output_of(execution_id, STDERR) == b""


async def test_a_terminal_that_changes_its_size_while_its_turn_has_not_come_starts_with_the_new_one(node: Node) -> None:
    await node.start(concurrency=1)
    first = node.run("sleep 1000")
    await node.started(first)
    second = node.run("stty size", terminal=TERMINAL)
    await node.until(lambda: node.executions.snapshot()["waiting"] == 1, "one that waits")
    node.resize(second, 0, 0)
    node.resize(second, 101, 31)
    node.cancel(first)
    await node.end(second)
    assert node.output_of(second) == b"31 101\r\n"


async def test_orders_that_cannot_be_are_void(node: Node) -> None:
    await node.start(concurrency=1)
    running, waiting = node.run("cat; exec sleep 1000"), node.run("cat", has_stdin=True)
    await node.started(running)
    await node.until(lambda: node.executions.snapshot()["waiting"] == 1, "one that waits")
    pid = node.runner_pid
    for execution_id in (running, waiting, new_id()):
        node.bring(execution_id, b"hello\n", is_last=True)
        node.resize(execution_id, 0, 2**32 - 1)
    node.cancel(running)
    await node.end(running)
    assert node.output_of(running) == b""
    node.bring(waiting, b"far", offset=2**63)
    await node.feed(waiting, b"hello\n")
    assert (await node.end(waiting)).outcome == command_pb2.OUTCOME_OK
    node.bring(waiting, b"late\n", is_last=True)
    assert (await node.end(node.run("true"))).outcome == command_pb2.OUTCOME_OK
    assert node.runner_pid == pid


async def test_an_end_in_what_was_cut_off_is_none(node: Node) -> None:
    await node.start()
    execution_id = node.run("wc -c", has_stdin=True)
    await node.started(execution_id)
    node.bring(execution_id, bytes(3 * LIMIT), is_last=True)
    await node.until(lambda: node.wanted(execution_id)[0] == LIMIT, "as much as one order brings")
    node.bring(execution_id, b"1234", offset=LIMIT, is_last=True)
    await node.end(execution_id)
    assert int(node.output_of(execution_id)) == LIMIT + 4


# --- surroundings --------------------------------------------------------------------------------------------------


async def test_environment_directory_and_account_reach_the_program_and_no_log(
    node: Node, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await node.start()
    variables = [
        command_pb2.EnvironmentVariable(name="TOKEN", value="first"),
        command_pb2.EnvironmentVariable(name="TOKEN", value="a-very-secret-value"),
    ]
    execution_id = node.run('pwd -P; printf "%s" "$TOKEN"', environment=variables, working_directory=str(tmp_path))
    await node.end(execution_id)
    assert node.output_of(execution_id).decode() == f"{tmp_path.resolve()}\na-very-secret-value"
    unknown = node.run("true", environment=variables, user="no-such-account")
    end = await node.end(unknown)
    assert (end.outcome, end.error_code) == (command_pb2.OUTCOME_FAILED, "user_unknown")
    assert "a-very-secret-value" not in caplog.text + str(end) + (node.data_dir / "runner" / "runner.log").read_text()


async def test_a_script_waits_in_the_journal_and_runs_after_a_restart(node: Node) -> None:
    await node.start(concurrency=1)
    first = node.run("sleep 1000")
    await node.started(first)
    script = command_pb2.Script(content=b'#!/bin/sh\necho "$1 \xc3\xbc"\n', arguments=["hi"], name="greet.sh")
    second = node.order_start(pb.StartExecution(script=script, credit=1000))
    await node.until(lambda: node.executions.snapshot()["waiting"] == 1, "one that waits")
    await node.restart(concurrency=1)
    node.resume(second)
    node.cancel(first)
    assert (await node.end(second)).outcome == command_pb2.OUTCOME_OK
    assert node.output_of(second).decode() == "hi ü\n"


async def test_a_program_that_closed_its_stdin_says_so_while_it_runs_on(node: Node) -> None:
    await node.start()
    execution_id = node.run("exec <&-; echo closed; sleep 1000", has_stdin=True)
    await node.output(execution_id, b"closed\n")
    await node.until(lambda: node.told(execution_id, "stdin_wanted")[-1].stdin_wanted.closed, "a closed stdin")
    assert not node.told(execution_id, "end")
