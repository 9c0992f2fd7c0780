"""Checks what sessions do to nodes, on both databases: epochs, holders, clones and labels of the agent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from edge_server.admins.models import AdminRow
from edge_server.db.database import Database
from edge_server.nodes import presence, repository
from edge_server.nodes.domain import NodeId
from edge_server.nodes.models import NodeRow
from edge_server.nodes.presence import Claim
from edge_wire.errors import EdgeError, Unauthenticated
from tests.edge_server.fleet import NOON, add_cluster, add_node

NODE = NodeId("aaaa1")
LATER = NOON + timedelta(minutes=1)


@pytest.fixture
async def nodes(db: Database) -> Database:
    await db.write(lambda tx: [add_cluster(tx, "oslo"), add_node(tx, "oslo", NODE, "web1")])
    return db


def claim(
    instance: str = "start-1",
    *,
    admin: str = "admin-1",
    labels: Mapping[str, str] | None = None,
    version: str = "0.1.0",
    node_id: NodeId = NODE,
) -> Claim:
    return Claim(
        node_id=node_id,
        instance_id=instance,
        admin_id=admin,
        agent_version=version,
        facts={"hostname": "web"},
        labels=labels or {},
        clock_skew_ms=-1500,
    )


async def opened(db: Database, wanted: Claim) -> int | None:
    return await opened_at(db, wanted, NOON)


async def opened_at(db: Database, wanted: Claim, now: datetime) -> int | None:
    (answer,) = await db.write(lambda tx: presence.open_sessions(tx, [wanted], now))
    if isinstance(answer, EdgeError):
        raise answer
    assert answer is None or isinstance(answer, int)
    return answer


async def row_of(db: Database) -> NodeRow:
    row = await db.read(lambda tx: repository.find(tx, NODE))
    assert row is not None
    return row


async def test_each_session_has_a_higher_epoch_and_the_newest_one_is_the_holders(nodes: Database) -> None:
    assert await opened(nodes, claim()) == 1
    assert await opened(nodes, claim(admin="admin-2")) == 2
    row = await row_of(nodes)
    assert (row.session_epoch, row.session_admin_id, row.session_instance_id) == (2, "admin-2", "start-1")
    assert (row.last_seen_at, row.clock_skew_ms, row.facts) == (NOON, -1500, {"hostname": "web"})


async def test_sessions_that_open_at_once_get_different_epochs(nodes: Database) -> None:
    epochs = await asyncio.gather(*(opened(nodes, claim()) for _ in range(8)))
    assert sorted(epoch or 0 for epoch in epochs) == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_a_second_machine_that_comes_back_after_it_was_replaced_is_a_clone(nodes: Database) -> None:
    assert await opened(nodes, claim("original")) == 1
    assert await opened(nodes, claim("copy")) == 2
    assert await opened(nodes, claim("original")) is None
    row = await row_of(nodes)
    assert (row.session_instance_id, row.session_epoch, row.conflict_at) == ("copy", 2, NOON)
    assert await opened(nodes, claim("copy")) == 3


async def test_a_clone_that_was_refused_may_come_back_when_the_other_is_gone_for_long_enough(nodes: Database) -> None:
    await nodes.write(lambda tx: tx.add(AdminRow(id="admin-1", version="0", urls=[], started_at=NOON, seen_at=NOON)))
    await opened(nodes, claim("original"))
    await opened(nodes, claim("copy"))
    await nodes.write(lambda tx: presence.close_session(tx, NODE, 2, NOON))
    soon, late = NOON + timedelta(minutes=4), NOON + timedelta(minutes=5)
    assert await opened_at(nodes, claim("original"), soon) is None
    assert await opened_at(nodes, claim("original"), late) == 3
    assert await opened_at(nodes, claim("copy"), late) is None
    assert (await row_of(nodes)).superseded_instances == ["copy"]


async def test_claims_that_share_a_transaction_each_get_their_own_answer(nodes: Database) -> None:
    claims = [claim("one"), claim("two"), claim("gone", node_id=NodeId("never-there")), claim("one"), claim("two")]
    answers = await nodes.write(lambda tx: presence.open_sessions(tx, claims, NOON))
    assert [answer for answer in answers if not isinstance(answer, EdgeError)] == [1, 2, None, 3]
    assert isinstance(answers[2], Unauthenticated)
    row = await row_of(nodes)
    assert (row.session_epoch, row.session_instance_id, row.superseded_instances) == (3, "two", ["one"])
    assert row.conflict_at == NOON


async def test_a_deleted_node_gets_no_session(nodes: Database) -> None:
    with pytest.raises(Unauthenticated, match="has been deleted"):
        await opened(nodes, claim(node_id=NodeId("never-there")))


async def test_the_end_of_an_older_session_does_not_end_the_newer_one(nodes: Database) -> None:
    await opened(nodes, claim())
    await opened(nodes, claim())
    await nodes.write(lambda tx: presence.close_session(tx, NODE, 1, LATER))
    assert (await row_of(nodes)).session_admin_id == "admin-1"
    await nodes.write(lambda tx: presence.close_session(tx, NODE, 2, LATER))
    row = await row_of(nodes)
    assert (row.session_admin_id, row.last_seen_at) == (None, LATER)


async def test_nodes_are_touched_by_the_admin_that_holds_them_only(nodes: Database) -> None:
    await opened(nodes, claim())
    await nodes.write(lambda tx: presence.touch_sessions(tx, "admin-2", LATER))
    assert (await row_of(nodes)).last_seen_at == NOON
    await nodes.write(lambda tx: presence.touch_sessions(tx, "admin-1", LATER))
    assert (await row_of(nodes)).last_seen_at == LATER


async def test_an_admin_that_leaves_holds_nothing_and_at_a_start_nobody_does(nodes: Database) -> None:
    await opened(nodes, claim())
    await nodes.write(lambda tx: presence.clear_sessions(tx, "admin-2"))
    assert (await row_of(nodes)).session_admin_id == "admin-1"
    await nodes.write(lambda tx: presence.clear_sessions(tx, "admin-1"))
    assert (await row_of(nodes)).session_admin_id is None
    await nodes.write(lambda tx: tx.execute(update(NodeRow).values(session_admin_id="admin-3")))
    await nodes.write(lambda tx: presence.clear_sessions(tx))
    assert (await row_of(nodes)).session_admin_id is None


async def test_labels_of_the_agent_are_replaced_and_those_of_operators_stay(nodes: Database) -> None:
    await nodes.write(lambda tx: repository.set_labels(tx, NODE, {"site": "oslo", "node/old": "1"}))
    await opened(nodes, claim(labels={"node/rack": "7"}))
    labels = await nodes.read(lambda tx: repository.labels_of(tx, [NODE]))
    assert labels == {NODE: {"site": "oslo", "node/rack": "7"}}


async def test_a_version_of_control_characters_keeps_no_agent_out(nodes: Database) -> None:
    assert await opened(nodes, claim(version="\x00" * 32)) == 1
