"""Executions of a node over one session: orders in, reports out, with a real runner and real programs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from edge_agent.executions.journal import ENTRIES_LIMIT
from edge_agent.settings import HIDDEN
from edge_wire.v1 import command_pb2, error_pb2
from edge_wire.v1 import session_pb2 as pb
from tests.edge_agent.node import STDERR, Node
from tests.edge_agent.processes import new_id

SHORT = timedelta(seconds=0.2)


def waits_for(file: Path) -> str:
    """Shell that goes on when a file appears."""
    return f"while ! test -e {file}; do sleep 0.02; done"


async def test_a_command_reports_its_start_its_output_and_its_end_in_this_order(node: Node) -> None:
    await node.start()
    execution_id = node.run("echo out; echo err >&2; exit 3")
    end = await node.end(execution_id)
    assert (end.outcome, end.exit_code, end.started) == (command_pb2.OUTCOME_FAILED, 3, error_pb2.STARTED_YES)
    assert (end.stdout_bytes, end.stderr_bytes, end.truncated) == (4, 4, False)
    assert (node.output_of(execution_id), node.output_of(execution_id, STDERR)) == (b"out\n", b"err\n")
    kinds = [report.WhichOneof("report") for report in node.reports]
    assert (kinds[0], kinds[-1]) == ("started", "end")
    assert set(kinds[1:-1]) == {"output"}


async def test_arguments_are_run_without_a_shell(node: Node) -> None:
    await node.start()
    argv = command_pb2.Argv(arguments=["printf", "%s|", "$HOME", "ü", ""])
    execution_id = node.order_start(pb.StartExecution(argv=argv, credit=1000))
    assert (await node.end(execution_id)).outcome == command_pb2.OUTCOME_OK
    assert node.output_of(execution_id).decode() == "$HOME|ü||"


async def test_a_program_that_is_missing_failed_and_surely_never_started(node: Node) -> None:
    await node.start()
    argv = command_pb2.Argv(arguments=["no-such-program"])
    end = await node.end(node.order_start(pb.StartExecution(argv=argv)))
    assert (end.outcome, end.started, end.exit_code) == (command_pb2.OUTCOME_FAILED, error_pb2.STARTED_NO, 127)
    assert end.error_code == "program_not_found"


async def test_a_time_limit_and_a_signal_have_their_own_words(node: Node) -> None:
    await node.start()
    late = pb.StartExecution(shell="sleep 1000", credit=1000)
    late.timeout.FromTimedelta(SHORT)
    late.kill_after.FromTimedelta(SHORT)
    end = await node.end(node.order_start(late))
    assert (end.outcome, end.signal) == (command_pb2.OUTCOME_TIMED_OUT, "SIGTERM")
    killed = await node.end(node.run("kill -KILL $$"))
    assert (killed.outcome, killed.signal, killed.HasField("exit_code")) == (
        command_pb2.OUTCOME_FAILED,
        "SIGKILL",
        False,
    )


async def test_cancelling_ends_what_runs(node: Node) -> None:
    await node.start()
    execution_id = node.run("sleep 1000")
    await node.started(execution_id)
    node.cancel(execution_id)
    end = await node.end(execution_id)
    assert (end.outcome, end.started) == (command_pb2.OUTCOME_CANCELLED, error_pb2.STARTED_YES)


async def test_a_background_process_that_holds_the_output_open_is_told(node: Node) -> None:
    await node.start()
    end = await node.end(node.run("sleep 1000 & echo hi"))
    assert (end.outcome, end.output_held_open) == (command_pb2.OUTCOME_OK, True)


async def test_programs_see_none_of_the_agent_s_settings(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENROLLMENT_KEY", "very-secret")
    monkeypatch.setenv("NODE_LABELS", "site=oslo")
    monkeypatch.setenv("EDITOR", "ed")
    await node.start()
    execution_id = node.run("env")
    await node.end(execution_id)
    seen = dict(line.split("=", 1) for line in node.output_of(execution_id).decode().splitlines() if "=" in line)
    assert seen["EDITOR"] == "ed"
    assert seen["EDGE_EXECUTION_ID"] == execution_id
    assert not seen.keys() & HIDDEN


# --- how many at once ----------------------------------------------------------------------------------------------


async def test_no_more_run_at_once_than_allowed_and_the_rest_wait_in_order(node: Node, tmp_path: Path) -> None:
    log, go = tmp_path / "log", tmp_path / "go"
    await node.start(concurrency=2)
    ids = [node.run(f"echo begin {n} >> {log}; {waits_for(go)}; echo end >> {log}") for n in range(5)]
    for execution_id in ids[:2]:
        await node.started(execution_id)
    assert node.executions.snapshot() == {"waiting": 3, "running": 2, "unacknowledged": 0}
    go.touch()
    for execution_id in ids:
        await node.end(execution_id)
    lines = log.read_text().split("\n")[:-1]
    running = [lines[: place + 1].count("end") for place in range(len(lines))]
    assert max(place + 1 - 2 * ended for place, ended in enumerate(running)) <= 2
    assert {line for line in lines if line != "end"} == {f"begin {n}" for n in range(5)}
    starts = [report.execution_id for report in node.reports if report.WhichOneof("report") == "started"]
    assert starts == ids


async def test_a_waiting_execution_that_is_cancelled_never_starts(node: Node, tmp_path: Path) -> None:
    await node.start(concurrency=1)
    first = node.run("sleep 1000")
    await node.started(first)
    second = node.run(f"touch {tmp_path / 'second-ran'}")
    third = node.run("echo third")
    await node.until(lambda: node.executions.snapshot()["waiting"] == 2, "two that wait")
    node.cancel(second)
    end = await node.end(second)
    assert (end.outcome, end.started) == (command_pb2.OUTCOME_CANCELLED, error_pb2.STARTED_NO)
    node.cancel(first)
    assert (await node.end(third)).outcome == command_pb2.OUTCOME_OK
    assert not (tmp_path / "second-ran").exists()
    assert node.told(second, "started") == []


async def test_an_execution_that_is_cancelled_in_the_same_breath_never_starts(node: Node, tmp_path: Path) -> None:
    await node.start()
    execution_id = node.run(f"touch {tmp_path / 'ran'}")
    node.cancel(execution_id)
    end = await node.end(execution_id)
    assert (end.outcome, end.started) == (command_pb2.OUTCOME_CANCELLED, error_pb2.STARTED_NO)
    assert not (tmp_path / "ran").exists()


# --- at most once --------------------------------------------------------------------------------------------------


async def test_a_start_that_is_sent_again_starts_nothing_and_reports_again(node: Node, tmp_path: Path) -> None:
    log, go = tmp_path / "log", tmp_path / "go"
    await node.start()
    shell = f"echo ran | tee -a {log}; {waits_for(go)}"
    execution_id = node.run(shell)
    node.run(shell, execution_id=execution_id)  # not even on disk yet
    await node.output(execution_id, b"ran\n")
    node.attach()
    node.run(shell, execution_id=execution_id)
    await node.started(execution_id)
    await node.output(execution_id, b"ran\n")
    go.touch()
    await node.end(execution_id)
    node.attach()
    node.run(shell, execution_id=execution_id)
    assert (await node.end(execution_id)).outcome == command_pb2.OUTCOME_OK
    assert node.output_of(execution_id) == b"ran\n"
    assert log.read_text() == "ran\n"


async def test_a_start_that_comes_after_the_end_was_acknowledged_starts_nothing(node: Node, tmp_path: Path) -> None:
    await node.start()
    shell = f"echo ran >> {tmp_path / 'log'}"
    execution_id = node.run(shell)
    await node.end(execution_id)
    node.acknowledge(execution_id)
    for _ in range(2):
        node.attach()
        node.run(shell, execution_id=execution_id)
        end = await node.end(execution_id)
        assert (end.outcome, end.error_code) == (command_pb2.OUTCOME_LOST, "unknown_to_node")
        assert end.started == error_pb2.STARTED_UNKNOWN
        node.acknowledge(execution_id)
        assert node.executions.inventory() == []
        await node.restart()
    assert (tmp_path / "log").read_text() == "ran\n"


async def test_an_unacknowledged_end_is_reported_again_in_every_session(node: Node) -> None:
    await node.start()
    execution_id = node.run("echo hi; exit 3")
    first = await node.end(execution_id)
    for _ in range(2):
        node.executions.detach()
        node.attach()
        assert node.reports == []
        node.resume(execution_id, stdout=3)
        assert await node.end(execution_id) == first
        assert node.output_of(execution_id) == b""
    node.acknowledge(execution_id)
    assert node.executions.inventory() == []


async def test_output_goes_on_in_the_next_session_from_where_the_admin_is(node: Node) -> None:
    await node.start()
    execution_id = node.run("printf 0123456789; printf abcdef >&2")
    await node.end(execution_id)
    node.attach()
    node.resume(execution_id, stdout=7, stderr=5, credit=2)
    await node.until(lambda: len(node.told(execution_id, "output")) == 1, "as much as there is credit for")
    assert node.output_of(execution_id) == b"78"
    assert node.told(execution_id, "end") == []
    grant = pb.GrantCredit(total=100)
    node.executions.receive(pb.ExecutionOrder(execution_id=execution_id, credit=grant))
    await node.end(execution_id)
    assert (node.output_of(execution_id), node.output_of(execution_id, STDERR)) == (b"789", b"f")


async def test_an_end_is_not_forgotten_before_it_is_known(node: Node) -> None:
    await node.start()
    execution_id = node.run("sleep 1000")
    await node.started(execution_id)
    node.acknowledge(execution_id)
    node.acknowledge(new_id())
    assert [item.execution_id for item in node.executions.inventory()] == [execution_id]
    node.cancel(execution_id)
    assert (await node.end(execution_id)).outcome == command_pb2.OUTCOME_CANCELLED


async def test_orders_about_executions_that_nobody_knows_are_void(node: Node) -> None:
    await node.start()
    node.resume(new_id())
    node.cancel(new_id())
    node.acknowledge(new_id())
    assert (await node.end(node.run("true"))).outcome == command_pb2.OUTCOME_OK
    assert len(node.executions.inventory()) == 1


async def test_a_full_journal_refuses_and_starts_nothing(node: Node, tmp_path: Path) -> None:
    await node.start()
    entries = node.executions._journal.entries
    execution_id = node.run("true")
    await node.end(execution_id)
    entries.update({str(number): entries[execution_id] for number in range(ENTRIES_LIMIT)})
    refused = node.run(f"touch {tmp_path / 'ran'}")
    assert node.told(refused, "refused")[0].refused.code == "journal_full"
    assert [item.execution_id for item in node.executions.inventory()] == [execution_id]
    assert not (tmp_path / "ran").exists()


# --- orders that cannot be ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(pb.StartExecution(argv=command_pb2.Argv(arguments=["echo", "a\0b"])), id="a NUL in an argument"),
        pytest.param(pb.StartExecution(), id="no program"),
    ],
)
async def test_an_impossible_order_ends_as_an_error_and_disturbs_no_other(node: Node, start: pb.StartExecution) -> None:
    await node.start()
    sleeper, pid = node.run("sleep 1000"), node.runner_pid
    await node.started(sleeper)
    impossible = node.order_start(start)
    await node.until(lambda: node.told(impossible, "end") or node.told(impossible, "refused"), "an answer", within=5)
    assert node.runner_pid == pid
    assert node.told(sleeper, "end") == []
    node.cancel(sleeper)
    assert (await node.end(sleeper)).outcome == command_pb2.OUTCOME_CANCELLED


async def test_an_id_that_is_a_path_writes_nothing_outside_the_runner_s_spool(node: Node) -> None:
    await node.start()
    escaping = node.run("seq 40000", execution_id="../../../escaped", credit=0)
    await node.until(
        lambda: node.told(escaping, "refused") or node.executions.inventory()[0].ended, "an answer or an end"
    )
    assert list(node.data_dir.parent.glob("escaped*")) == []
