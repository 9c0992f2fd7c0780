"""What a real admin orders when a node comes back: by what the node knows, what is stored, and what was asked since."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from edge_server.commands import reconciler, removal, repository
from edge_server.commands.domain import CommandId, Event, ExecutionId, Outcome, State
from edge_server.commands.models import ExecutionRow
from edge_server.commands.run import CommandRun, LiveExecution
from edge_server.commands.storing import Stored
from edge_server.commands.transition import Transition
from edge_server.nodes.domain import NodeId
from edge_wire.errors import CommandNotFound
from edge_wire.v1 import command_pb2, node_pb2
from edge_wire.v1 import session_pb2 as pb
from tests.edge_server.scripted_node import (
    Line,
    ScriptedNode,
    a_node,
    cancel,
    ended,
    executions_of,
    ok,
    outcomes_of,
    run_on,
)
from tests.support.eventually import eventually
from tests.support.harness import Installation

STDOUT = command_pb2.OUTPUT_STREAM_STDOUT
OFFLINE = node_pb2.NODE_STATUS_OFFLINE


@pytest.fixture
async def node(site: Installation) -> AsyncIterator[ScriptedNode]:
    async with a_node(site, "edge01") as made:
        yield made


def known(execution_id: str, *, started: bool = True, ended: bool = False) -> pb.ExecutionInventory:
    return pb.ExecutionInventory(execution_id=execution_id, started=started, ended=ended)


async def handed_out(site: Installation, node: ScriptedNode, **spec: object) -> tuple[Line, str, str]:
    """A session with one start order; ids of command and execution."""
    line = await node.open()
    created = await run_on(site, "edge01", **{"shell": "true", **spec})
    execution_id = (await line.ordered("start")).execution_id
    return line, created.command_id, execution_id


async def gone(site: Installation, line: Line) -> None:
    await line.cut()
    await site.wait_status("edge01", OFFLINE)


async def test_what_nobody_here_knows_is_stopped_or_when_over_acknowledged(
    site: Installation, node: ScriptedNode
) -> None:
    running, over = str(uuid4()), str(uuid4())
    line = await node.open(executions=[known(running), known(over, ended=True)])
    await eventually(lambda: len(line.orders()) == 3)
    assert line.order_kinds(over) == ["acknowledge_end"]
    assert line.order_kinds(running) == ["stop", "resume"]
    resume = line.orders(running)[1].resume
    assert (resume.credit, resume.stdout_offset, resume.stderr_offset) == (0, 2**62, 2**62)
    await line.report(running, end=ok())
    await eventually(lambda: line.order_kinds(running)[-1] == "acknowledge_end")


async def test_what_runs_is_resumed_from_where_the_admin_is(site: Installation, node: ScriptedNode) -> None:
    line, command_id, execution_id = await handed_out(site, node)
    await line.report(execution_id, started=pb.ExecutionStarted(pid=1))
    await line.report(execution_id, output=command_pb2.OutputChunk(stream=STDOUT, data=b"12345"))
    await line.answered()
    again = await node.open(executions=[known(execution_id)])
    resume = (await again.ordered("resume", execution_id)).resume
    assert (resume.stdout_offset, resume.stderr_offset, resume.credit) == (5, 0, 64 * 1024)
    assert again.order_kinds() == ["resume"]
    await again.report(execution_id, end=ok(stdout_bytes=5))
    assert await ended(site, command_id) == {"edge01": "ok"}


async def test_a_start_that_never_arrived_is_sent_again_with_the_same_id(
    site: Installation, node: ScriptedNode
) -> None:
    line, command_id, execution_id = await handed_out(site, node)
    await gone(site, line)
    again = await node.open()
    assert (await again.ordered("start")).execution_id == execution_id
    assert again.order_kinds() == ["start"]
    await again.report(execution_id, end=ok())
    assert await ended(site, command_id) == {"edge01": "ok"}


async def test_a_start_that_never_arrived_is_not_sent_after_the_contact_time_out(
    site: Installation, node: ScriptedNode
) -> None:
    line, command_id, _ = await handed_out(site, node, contact_timeout=Duration())
    sent_at = (await executions_of(site, command_id))["edge01"].sent_at.ToDatetime(tzinfo=UTC)
    await gone(site, line)
    await eventually(lambda: datetime.now(UTC) - sent_at > timedelta(seconds=1.1))
    again = await node.open()
    assert await ended(site, command_id) == {"edge01": "offline"}
    await again.answered()
    assert again.order_kinds() == ["acknowledge_end"]


async def test_a_start_that_never_arrived_and_was_cancelled_is_withheld(site: Installation, node: ScriptedNode) -> None:
    line, command_id, _ = await handed_out(site, node)
    await gone(site, line)
    assert await cancel(site, command_id) == (0, 1)
    again = await node.open()
    assert await ended(site, command_id) == {"edge01": "not_started"}
    assert "start" not in again.order_kinds()


async def test_what_ran_and_is_not_known_any_more_is_lost_and_says_why(site: Installation, node: ScriptedNode) -> None:
    line, command_id, execution_id = await handed_out(site, node)
    await line.report(execution_id, started=pb.ExecutionStarted(pid=1))
    await line.answered()
    await gone(site, line)
    assert await outcomes_of(site, command_id) == {"edge01": ""}
    await node.open()
    assert await ended(site, command_id) == {"edge01": "lost"}
    end = (await executions_of(site, command_id))["edge01"].end
    assert end.error_code == "unknown_to_node"


async def lost(site: Installation, node: ScriptedNode) -> tuple[str, str]:
    """Ids of a command and its execution, which the node said was running and then did not know."""
    line, command_id, execution_id = await handed_out(site, node)
    await line.report(execution_id, started=pb.ExecutionStarted(pid=1))
    await line.answered()
    await gone(site, line)
    await gone(site, await node.open())
    assert await ended(site, command_id) == {"edge01": "lost"}
    return command_id, execution_id


@pytest.mark.parametrize("is_over_there", [True, False])
async def test_what_was_lost_and_is_known_after_all_is_collected_and_corrected(
    site: Installation, node: ScriptedNode, is_over_there: bool
) -> None:
    command_id, execution_id = await lost(site, node)
    line = await node.open(executions=[known(execution_id, ended=is_over_there)])
    resume = (await line.ordered("resume", execution_id)).resume
    assert (resume.credit, resume.stdout_offset) == (0, 2**62)
    assert line.order_kinds(execution_id) == ["resume"]
    assert await outcomes_of(site, command_id) == {"edge01": "lost"}
    await line.report(execution_id, end=command_pb2.ExecutionEnd(outcome=command_pb2.OUTCOME_FAILED, exit_code=7))
    await line.ordered("acknowledge_end", execution_id)
    found = (await executions_of(site, command_id))["edge01"]
    assert (found.end.outcome, found.end.exit_code) == (command_pb2.OUTCOME_FAILED, 7)
    assert found.HasField("corrected_at")
    shown = json.loads((await site.edgectl("command", "show", command_id, "-o", "json")).text)
    assert shown["executions"][0]["outcome"] == "failed"
    assert shown["executions"][0]["corrected_at"]


async def test_a_node_corrects_nothing_that_another_node_lost(site: Installation, node: ScriptedNode) -> None:
    command_id, execution_id = await lost(site, node)
    async with a_node(site, "edge02") as other:
        line = await other.open(executions=[known(execution_id, ended=True)])
        await line.report(execution_id, end=ok())
        await line.ordered("acknowledge_end", execution_id)
    assert await outcomes_of(site, command_id) == {"edge01": "lost"}


async def test_an_admin_that_found_nobody_does_not_correct_what_another_one_stored_as_lost(
    site: Installation, node: ScriptedNode
) -> None:
    _, command_id, execution_id = await handed_out(site, node)
    dispatcher = site.admin._dispatcher
    execution = dispatcher.find_execution(ExecutionId(execution_id))
    assert execution is not None
    is_lost = update(ExecutionRow).where(ExecutionRow.id == execution_id)
    is_lost = is_lost.values(state=State.ENDED, outcome=Outcome.LOST, started=True, ended_at=datetime.now(UTC))
    await site.admin.db.write(lambda tx: tx.execute(is_lost))
    dispatcher.conclude(execution, Event.MISS, Outcome.OFFLINE, started=False, error_code="node_offline")
    await eventually(lambda: execution.is_end_committed, what="the stored end is taken over")
    told: list[Stored] = []
    step = Transition(execution_id=execution.id, command_id=execution.command_id, event=Event.START)
    site.admin._recorder.submit(step, told.append)  # applies to nothing, behind whatever was submitted
    await eventually(lambda: told)
    found = (await executions_of(site, command_id))["edge01"]
    assert (found.end.outcome, found.end.error_code) == (command_pb2.OUTCOME_LOST, "")
    assert not found.HasField("corrected_at")


async def test_what_was_handed_out_and_never_arrived_waits_again_until_it_expires(
    site: Installation, node: ScriptedNode
) -> None:
    line, command_id, _ = await handed_out(
        site, node, offline=command_pb2.OFFLINE_POLICY_QUEUE, expires=Duration(seconds=1)
    )
    sent_at = (await executions_of(site, command_id))["edge01"].sent_at.ToDatetime(tzinfo=UTC)
    await gone(site, line)
    await eventually(lambda: datetime.now(UTC) - sent_at > timedelta(seconds=1.1))
    again = await node.open()
    assert await ended(site, command_id) == {"edge01": "expired"}
    await again.answered()
    assert "start" not in again.order_kinds()


async def test_what_was_handed_out_and_never_arrived_is_sent_again_when_it_may_wait(
    site: Installation, node: ScriptedNode
) -> None:
    line, command_id, execution_id = await handed_out(
        site, node, offline=command_pb2.OFFLINE_POLICY_QUEUE, contact_timeout=Duration()
    )
    await gone(site, line)
    again = await node.open()
    assert (await again.ordered("start")).execution_id == execution_id
    await again.report(execution_id, end=ok())
    assert await ended(site, command_id) == {"edge01": "ok"}
    await again.ordered("acknowledge_end")
    assert again.order_kinds(execution_id) == ["start", "acknowledge_end"]


async def test_a_command_that_another_admin_deleted_is_let_go(site: Installation, node: ScriptedNode) -> None:
    _, command_id, _ = await handed_out(site, node)

    def delete(tx: Session) -> None:
        # Its execution stays open: a reader between two statements would otherwise see how it ended, and be content.
        tx.execute(text("UPDATE commands SET finished_at = created_at"))
        removal.hide(tx, [command_id], datetime.now(UTC))

    watching = asyncio.create_task(ended(site, command_id))
    await eventually(lambda: site.admin._dispatcher.find_run(CommandId(command_id)), what="the command under way")
    await site.admin.db.write(delete)
    site.admin._dispatcher.lose_contact(NodeId(node.id))
    await site.admin._reconciler.refresh()
    with pytest.raises(CommandNotFound):
        await watching
    assert site.admin._dispatcher.find_run(CommandId(command_id)) is None


async def test_what_runs_and_was_cancelled_meanwhile_is_resumed_and_stopped(
    site: Installation, node: ScriptedNode
) -> None:
    line, command_id, execution_id = await handed_out(site, node)
    await line.report(execution_id, started=pb.ExecutionStarted(pid=1))
    await gone(site, line)
    await cancel(site, command_id)
    again = await node.open(executions=[known(execution_id)])
    await again.ordered("stop", execution_id)
    assert again.order_kinds() == ["resume", "stop"]
    await again.report(execution_id, end=command_pb2.ExecutionEnd(outcome=command_pb2.OUTCOME_CANCELLED))
    assert await ended(site, command_id) == {"edge01": "cancelled"}


async def test_an_end_that_came_while_the_admin_was_away_is_taken_and_acknowledged(
    site: Installation, node: ScriptedNode
) -> None:
    _, command_id, execution_id = await handed_out(site, node)
    await site.restart_admin()
    again = await node.open(executions=[known(execution_id, ended=True)])
    await again.ordered("resume", execution_id)
    await again.report(execution_id, end=ok())
    assert await ended(site, command_id) == {"edge01": "ok"}
    await again.ordered("acknowledge_end", execution_id)
    third = await node.open(executions=[known(execution_id, ended=True)])
    await third.ordered("acknowledge_end", execution_id)
    assert third.order_kinds() == ["acknowledge_end"]


async def test_an_empty_inventory_after_a_restart_of_the_admin_sends_the_start_again(
    site: Installation, node: ScriptedNode
) -> None:
    _, command_id, execution_id = await handed_out(site, node)
    await site.restart_admin()
    again = await node.open()
    assert (await again.ordered("start")).execution_id == execution_id
    await again.report(execution_id, end=ok())
    assert await ended(site, command_id) == {"edge01": "ok"}


async def test_a_thousand_executions_in_an_inventory_are_settled_each(site: Installation, node: ScriptedNode) -> None:
    ids = [str(uuid4()) for _ in range(1000)]
    line = await node.open(executions=[known(execution_id, ended=True) for execution_id in ids])
    await eventually(lambda: len(line.orders()) == 1000)
    assert {order.execution_id for order in line.orders()} == set(ids)


async def test_an_inventory_without_bounds_is_refused(site: Installation, node: ScriptedNode) -> None:
    line = node.dial()
    await line.say(hello=node.hello(executions=[known(str(number)) for number in range(20_001)]))
    error = await line.over()
    assert error is not None
    assert error.code == "frame_invalid"


async def test_a_view_of_the_database_that_is_older_than_an_end_starts_nothing(
    bare: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node comes back while it is being stored that it was offline: what was called offline is never delivered."""
    await bare.start_admin(reconnect_grace_seconds=0)
    await eventually(lambda: not bare.admin._dispatcher._is_in_grace, what="the end of the grace")
    is_read, go_on, may_write = threading.Event(), threading.Event(), asyncio.Event()
    read, write = repository.list_for_nodes, bare.admin._recorder._write

    def slow_read(*arguments: Any) -> Any:
        rows = read(*arguments)
        is_read.set()
        go_on.wait(10)
        return rows

    async def late_write(batch: Any) -> bool:
        await may_write.wait()
        return await write(batch)

    adopted: list[CommandRun] = []
    adopt = bare.admin._dispatcher.adopt

    def watched_adopt(run: CommandRun) -> CommandRun:
        if is_read.is_set():
            adopted.append(run)
        return adopt(run)

    monkeypatch.setattr(bare.admin._dispatcher, "adopt", watched_adopt)
    monkeypatch.setattr(bare.admin._recorder, "_write", late_write)
    monkeypatch.setattr(repository, "list_for_nodes", slow_read)
    async with a_node(bare, "edge01") as node:
        created = await run_on(bare, "edge01", shell="true")
        line = await node.open()
        await eventually(is_read.is_set, what="a view of the node")
        may_write.set()
        assert await ended(bare, created.command_id) == {"edge01": "offline"}
        go_on.set()
        await eventually(lambda: adopted, what="a stale command")
        for _ in range(5):
            await line.answered()
        assert "start" not in line.order_kinds()
        assert await outcomes_of(bare, created.command_id) == {"edge01": "offline"}


async def test_what_ended_with_another_admin_while_it_is_handed_out_here_is_collected_and_acknowledged(
    site: Installation, node: ScriptedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = await run_on(site, "edge01", shell="true", offline=command_pb2.OFFLINE_POLICY_QUEUE)
    run = site.admin._dispatcher.find_run(CommandId(created.command_id))
    assert run is not None
    (execution,) = run.executions.values()
    is_over = update(ExecutionRow).where(ExecutionRow.id == execution.id)
    is_over = is_over.values(state=State.ENDED, outcome=Outcome.OK, started=True, ended_at=datetime.now(UTC))
    is_read, go_on, may_write = threading.Event(), threading.Event(), asyncio.Event()
    read, write = repository.list_for_nodes, site.admin._recorder._write

    def slow_read(*arguments: Any) -> Any:
        is_read.set()
        go_on.wait(10)
        return read(*arguments)

    async def late_write(batch: Any) -> bool:
        await may_write.wait()
        return await write(batch)

    monkeypatch.setattr(site.admin._recorder, "_write", late_write)
    monkeypatch.setattr(repository, "list_for_nodes", slow_read)
    line = await node.open(executions=[known(execution.id, ended=True)])
    await eventually(is_read.is_set, what="the node is about to be settled")
    await site.admin.db.write(lambda tx: tx.execute(is_over))
    site.admin._dispatcher.pump(run)
    assert execution.state is State.SENT
    go_on.set()
    for _ in range(3):
        await line.answered()
    assert line.order_kinds(execution.id) == []
    may_write.set()
    await line.ordered("resume")
    await line.report(execution.id, end=ok())
    await line.ordered("acknowledge_end")
    assert await ended(site, created.command_id) == {"edge01": "ok"}


async def test_what_was_sent_over_a_session_that_was_over_is_sent_again_over_the_one_there_is(
    site: Installation, node: ScriptedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = await node.open()
    await line.answered()
    send_start = site.admin._dispatcher.send_start
    lost: list[LiveExecution] = []

    def into_a_dead_connection(execution: LiveExecution) -> bool:
        lost.append(execution)
        execution.attached_epoch = execution.sent_epoch
        return True

    monkeypatch.setattr(site.admin._dispatcher, "send_start", into_a_dead_connection)
    created = await run_on(site, "edge01", shell="true")
    await eventually(lambda: lost, what="it is sent")
    (execution,) = lost
    monkeypatch.setattr(site.admin._dispatcher, "send_start", send_start)
    monkeypatch.setattr(reconciler, "SILENT_FOR", timedelta(0))
    await site.admin._reconciler.look_after_sent()
    for _ in range(3):
        await line.answered()
    assert line.order_kinds(execution.id) == []  # over this very session: its order is on its way

    row = update(ExecutionRow).where(ExecutionRow.id == execution.id)
    await site.admin.db.write(lambda tx: tx.execute(row.values(sent_epoch=ExecutionRow.sent_epoch - 1)))
    assert execution.sent_epoch is not None
    execution.sent_epoch, execution.attached_epoch = execution.sent_epoch - 1, None
    await site.admin._reconciler.look_after_sent()
    await line.ordered("start")
    await line.report(execution.id, end=ok())
    assert await ended(site, created.command_id) == {"edge01": "ok"}
