"""What a node may report and what it may not: others' executions, credit, offsets out of this world, repetitions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from edge_server.commands import recorder as recorders
from edge_wire import calls
from edge_wire.v1 import command_pb2
from edge_wire.v1 import session_pb2 as pb
from tests.edge_server.scripted_node import (
    Line,
    ScriptedNode,
    a_node,
    ended,
    executions_of,
    ok,
    outcomes_of,
    run_on,
)
from tests.support.eventually import eventually
from tests.support.harness import Installation

STDOUT, STDERR = command_pb2.OUTPUT_STREAM_STDOUT, command_pb2.OUTPUT_STREAM_STDERR


@pytest.fixture
async def two(site: Installation) -> AsyncIterator[tuple[ScriptedNode, ScriptedNode]]:
    async with a_node(site, "edge01") as one, a_node(site, "edge02") as other:
        yield one, other


def chunk(offset: int, data: bytes) -> command_pb2.OutputChunk:
    return command_pb2.OutputChunk(stream=STDOUT, offset=offset, data=data)


async def started(site: Installation, node: ScriptedNode, line: Line) -> tuple[str, str]:
    """A command on this node that it was ordered to start; ids of command and execution."""
    created = await run_on(site, node.name, shell="true")
    execution_id = created.targets[0].execution_id
    await line.ordered("start", execution_id)
    return created.command_id, execution_id


async def seen(site: Installation, command_id: str) -> bytes:
    """All output of a command with one execution, up to its end."""
    output = b""
    async with site.operator() as admin:
        request = command_pb2.WatchCommandRequest(command_id=command_id)
        async for response in calls.stream(admin.commands.Watch, request, token=admin.token):
            output += b"".join(event.output.data for event in response.events)
    return output


async def test_the_last_end_of_a_command_waits_for_no_company(
    site: Installation, two: tuple[ScriptedNode, ScriptedNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise ends that come at once make the next one wait, because more seem to be on their way."""
    for name, value in (("_CROWD", 1), ("_REST", 1e9), ("_LONGEST_REST_SECONDS", 1000.0)):
        monkeypatch.setattr(recorders, name, value)
    lines = [await node.open() for node in two]
    created = await run_on(site, "edge01", "edge02", shell="true")
    for line, target in zip(lines, created.targets, strict=True):
        await line.ordered("start", target.execution_id)
    for line, target in zip(lines, created.targets, strict=True):
        await line.report(target.execution_id, end=ok())
    assert await ended(site, created.command_id) == {"edge01": "ok", "edge02": "ok"}


async def test_reports_about_executions_of_another_node_change_nothing(
    site: Installation, two: tuple[ScriptedNode, ScriptedNode]
) -> None:
    mine, other = await two[0].open(), await two[1].open()
    command_id, execution_id = await started(site, two[0], mine)
    failed = command_pb2.ExecutionEnd(outcome=command_pb2.OUTCOME_FAILED, exit_code=66)
    await other.report(execution_id, started=pb.ExecutionStarted(pid=1))
    await other.report(execution_id, output=chunk(0, b"forged"))
    await other.report(execution_id, gap=command_pb2.OutputGap(stream=STDOUT, from_offset=0, to_offset=10**6))
    await other.report(execution_id, refused=pb.ExecutionRefused(code="journal_full"))
    await other.report(execution_id, end=failed)
    await other.answered()
    assert "acknowledge_end" not in mine.order_kinds()
    await mine.report(execution_id, output=chunk(0, b"true"))
    await mine.report(execution_id, end=ok(stdout_bytes=4))
    assert await ended(site, command_id) == {"edge01": "ok"}
    assert await seen(site, command_id) == b"true"


async def test_an_inventory_that_names_an_execution_of_another_node_takes_nothing_from_it(
    site: Installation, two: tuple[ScriptedNode, ScriptedNode]
) -> None:
    await two[0].open()
    mine = await two[0].open()  # its epoch is not the other node's
    command_id, execution_id = await started(site, two[0], mine)
    stolen = pb.ExecutionInventory(execution_id=execution_id, started=True)
    other = await two[1].open(executions=[stolen])
    await eventually(lambda: other.order_kinds(execution_id), what="an order about it")
    await other.answered()
    assert all(order.resume.credit == 0 for order in other.orders(execution_id))
    await mine.report(execution_id, output=chunk(0, b"true"))
    await mine.report(execution_id, end=ok(stdout_bytes=4))
    assert await ended(site, command_id) == {"edge01": "ok"}
    assert await seen(site, command_id) == b"true"


async def test_reports_about_executions_that_nobody_knows_leave_nothing(
    site: Installation, two: tuple[ScriptedNode, ScriptedNode]
) -> None:
    line = await two[0].open()
    nobody = str(uuid4())
    await line.report(nobody, started=pb.ExecutionStarted(pid=1))
    await line.report(nobody, output=chunk(0, b"x" * 100_000))
    await line.report(nobody, end=ok())
    await line.ordered("acknowledge_end", nobody)
    await line.answered()
    assert line.order_kinds(nobody) == ["acknowledge_end"]
    assert site.admin._dispatcher.count_under_way() == 0


async def test_more_output_than_was_granted_costs_the_session_and_not_the_command(
    site: Installation, two: tuple[ScriptedNode, ScriptedNode]
) -> None:
    line, bystander = await two[0].open(), await two[1].open()
    command_id, execution_id = await started(site, two[0], line)
    granted = (await line.ordered("start")).start.credit
    greedy = pb.ExecutionReports(
        reports=[
            pb.ExecutionReport(execution_id=execution_id, output=chunk(place * 60_000, b"x" * 60_000))
            for place in range(8)
        ]
    )
    assert granted == 64 * 1024
    async with site.operator() as admin:
        # A watcher that takes nothing holds the credit back, so that none is granted meanwhile.
        watching = admin.commands.Watch(
            command_pb2.WatchCommandRequest(command_id=command_id), metadata=calls.bearer(admin.token)
        )
        await watching.read()
        await line.say(reports=greedy)
        assert (await line.goodbye()).code == "credit_exceeded"
        watching.cancel()
    again = await two[0].open(executions=[pb.ExecutionInventory(execution_id=execution_id, started=True)])
    assert (await again.ordered("resume", execution_id)).resume.credit == granted
    await again.report(execution_id, end=ok())
    assert await ended(site, command_id) == {"edge01": "ok"}
    await bystander.answered()


async def test_an_end_that_is_reported_again_and_again_counts_once_and_is_acknowledged(
    site: Installation, two: tuple[ScriptedNode, ScriptedNode]
) -> None:
    line = await two[0].open()
    command_id, execution_id = await started(site, two[0], line)
    await line.report(execution_id, end=ok())
    await ended(site, command_id)
    worse = command_pb2.ExecutionEnd(outcome=command_pb2.OUTCOME_LOST)
    for _ in range(3):
        await line.report(execution_id, end=worse)
    await eventually(lambda: line.order_kinds(execution_id).count("acknowledge_end") == 4)
    assert await outcomes_of(site, command_id) == {"edge01": "ok"}


@pytest.mark.parametrize(
    "reports",
    [
        [{"output": chunk(2**64 - 9, b"far")}],
        [
            {"output": chunk(0, b"near")},
            {"gap": command_pb2.OutputGap(stream=STDOUT, from_offset=4, to_offset=2**64 - 1)},
        ],
    ],
    ids=["output", "gap"],
)
async def test_offsets_out_of_this_world_do_not_keep_a_command_open(
    site: Installation, two: tuple[ScriptedNode, ScriptedNode], reports: list[dict[str, object]]
) -> None:
    line = await two[0].open()
    command_id, execution_id = await started(site, two[0], line)
    for report in reports:
        await line.report(execution_id, **report)
    await line.report(execution_id, end=ok())
    assert await ended(site, command_id, within=3.0) == {"edge01": "ok"}


async def test_output_of_a_stream_that_does_not_exist_is_passed_over(
    site: Installation, two: tuple[ScriptedNode, ScriptedNode]
) -> None:
    line = await two[0].open()
    command_id, execution_id = await started(site, two[0], line)
    await line.report(execution_id, output=command_pb2.OutputChunk(data=b"x"))
    await line.report(execution_id, gap=command_pb2.OutputGap(to_offset=5))
    await line.report(execution_id, output=chunk(0, b"real"))
    await line.report(execution_id, end=ok(stdout_bytes=4))
    assert await ended(site, command_id) == {"edge01": "ok"}
    assert await seen(site, command_id) == b"real"


async def test_a_node_that_refuses_says_why_and_nothing_was_started(
    site: Installation, two: tuple[ScriptedNode, ScriptedNode]
) -> None:
    line = await two[0].open()
    command_id, execution_id = await started(site, two[0], line)
    await line.report(execution_id, refused=pb.ExecutionRefused(code="journal_full", message="full\x1b[2J"))
    assert await ended(site, command_id) == {"edge01": "failed"}
    end = (await executions_of(site, command_id))["edge01"].end
    assert (end.error_code, "\x1b" in end.error_message) == ("journal_full", False)
