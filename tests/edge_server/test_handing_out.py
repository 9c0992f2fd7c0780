"""A new command is handed out with its own transaction; what may happen between that and the session loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy.orm import Session

from edge_server.commands import repository
from edge_server.commands.domain import FrozenExecution, State
from edge_server.commands.freezing import freeze, hand_out
from edge_server.commands.pacing import PaceOptions, Portion
from edge_server.nodes.domain import NodeId, SelectedNode
from edge_wire.v1 import command_pb2
from tests.edge_server.fleet import WallClock
from tests.edge_server.scripted_node import Line, ScriptedNode, a_node, ended, executions_of, ok, run_on
from tests.support.harness import Installation

SENT = command_pb2.EXECUTION_STATE_SENT
STALE_EPOCH = 10**15


@pytest.fixture
async def node(site: Installation) -> AsyncIterator[ScriptedNode]:
    async with a_node(site, "edge01") as made:
        yield made


async def ends_well(site: Installation, line: Line, command_id: str) -> None:
    """The node is told to start, and says that all went well."""
    await line.report((await line.ordered("start")).execution_id, end=ok())
    assert await ended(site, command_id) == {"edge01": "ok"}


def four_nodes() -> list[FrozenExecution]:
    names = ["n1", "n2", "n3", "n4"]
    nodes = [SelectedNode(id=NodeId(name), name=name, cluster_id="c", session_admin_id=None) for name in names]
    return freeze(nodes, "command")


def test_what_may_start_and_has_a_session_is_sent_and_the_rest_waits() -> None:
    now = WallClock()()
    options = PaceOptions(fanout=Portion(count=3))
    found = hand_out(four_nodes(), options, now, {"n1": 7, "n3": 9, "n4": 11}.get)
    assert [(item.node_id, item.state, item.sent_epoch) for item in found] == [
        ("n1", State.SENT, 7),
        ("n2", State.PENDING, None),
        ("n3", State.SENT, 9),
        ("n4", State.PENDING, None),
    ]
    assert [item.sent_at for item in found] == [now, None, now, None]


def test_a_command_that_may_not_begin_hands_out_nothing() -> None:
    now = WallClock()()
    options = PaceOptions(fanout=Portion(count=3), deadline_at=now)
    assert {item.state for item in hand_out(four_nodes(), options, now, lambda _: 7)} == {State.PENDING}


async def test_a_node_is_told_without_a_second_transaction(
    site: Installation, node: ScriptedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = await node.open()
    monkeypatch.setattr(site.admin._recorder, "_write", lambda _: asyncio.Event().wait())
    created = await run_on(site, "edge01", shell="true")
    order = await line.ordered("start")
    execution = (await executions_of(site, created.command_id))["edge01"]
    assert (order.execution_id, execution.state) == (execution.id, SENT)
    assert execution.HasField("sent_at")


@pytest.mark.parametrize("offline", [command_pb2.OFFLINE_POLICY_FAIL, command_pb2.OFFLINE_POLICY_QUEUE])
async def test_a_node_that_left_before_it_was_told_is_offline_or_waited_for(
    site: Installation,
    node: ScriptedNode,
    monkeypatch: pytest.MonkeyPatch,
    offline: command_pb2.OfflinePolicy.ValueType,
) -> None:
    monkeypatch.setattr(site.admin._dispatcher, "epoch_of", lambda _: STALE_EPOCH)
    created = await run_on(site, "edge01", shell="true", offline=offline)
    monkeypatch.undo()
    if offline == command_pb2.OFFLINE_POLICY_FAIL:
        assert await ended(site, created.command_id) == {"edge01": "offline"}
        return
    line = await node.open()
    await ends_well(site, line, created.command_id)


async def test_a_node_that_came_back_before_it_was_told_is_told_in_its_new_session(
    site: Installation, node: ScriptedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = await node.open()
    monkeypatch.setattr(site.admin._dispatcher, "epoch_of", lambda _: STALE_EPOCH)
    created = await run_on(site, "edge01", shell="true")
    await ends_well(site, line, created.command_id)
    assert line.order_kinds().count("start") == 1


async def test_what_was_stored_as_sent_and_never_was_is_handed_out_when_it_is_found(
    site: Installation, node: ScriptedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection to the database broke in the commit: nobody heard that the command is there."""
    line = await node.open()
    monkeypatch.setattr(site.admin._dispatcher, "adopt_new", lambda _: None)
    created = await run_on(site, "edge01", shell="true")
    assert (await executions_of(site, created.command_id))["edge01"].state == SENT
    await line.answered()
    assert "start" not in line.order_kinds()
    await site.admin._reconciler.adopt_orphans()
    await ends_well(site, line, created.command_id)


async def test_a_cancel_that_another_admin_stored_reaches_what_runs_here(
    site: Installation, node: ScriptedNode
) -> None:
    line = await node.open()
    created = await run_on(site, "edge01", shell="sleep 600")
    started = await line.ordered("start")

    def cancel_elsewhere(tx: Session) -> None:
        command = repository.find(tx, created.command_id)
        assert command is not None
        repository.mark_cancelled(tx, command, datetime.now(UTC))

    await site.admin.db.write(cancel_elsewhere)
    assert (await line.ordered("stop")).execution_id == started.execution_id
