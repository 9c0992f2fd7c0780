"""Checks what operators do to nodes, on both databases: labels, aliases, moving, deleting, paging."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from edge_server.admins.service import AdminPresence
from edge_server.commands.lookup import EARLIER_COMMANDS
from edge_server.commands.service import drop_executions
from edge_server.db.database import Database
from edge_server.nodes.domain import NodeId, NodeStatus
from edge_server.nodes.models import NodeRow
from edge_server.nodes.selection import Selection
from edge_server.nodes.service import NodeService
from edge_wire.credentials import hash_token
from edge_wire.errors import (
    AliasExists,
    AliasNotFound,
    Conflict,
    LabelInvalid,
    NameInvalid,
    NodeLimitReached,
    NodeNotFound,
    ScopeDenied,
    Unauthenticated,
)
from tests.edge_server.fleet import ALICE, WallClock, a_caller, add_cluster, add_node

EVERYTHING = Selection()


def fill(tx: Session) -> None:
    add_cluster(tx, "oslo")
    add_cluster(tx, "bergen", node_limit=1)
    add_node(tx, "oslo", "aaaa1", "web1")
    add_node(tx, "oslo", "aaaa2", "web2")


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture
def gone() -> list[NodeId]:
    """The nodes that somebody was told are gone."""
    return []


@pytest.fixture
async def nodes(db: Database, clock: WallClock, gone: list[NodeId]) -> NodeService:
    await db.write(fill)
    return NodeService(
        db=db, now=clock, earlier_commands=EARLIER_COMMANDS, on_delete=drop_executions, after_delete=gone.append
    )


async def test_labels_are_set_replaced_and_removed(nodes: NodeService) -> None:
    await nodes.update_labels(ALICE, "web1", set_labels={"site": "oslo", "rack": "7"}, unset=[])
    node = await nodes.update_labels(ALICE, "web1", set_labels={"rack": "8"}, unset=["site", "never-there"])
    assert node.labels == {"rack": "8"}
    assert (await nodes.get(ALICE, "web2")).labels == {}


async def test_a_node_has_thirty_two_labels_at_most(nodes: NodeService) -> None:
    await nodes.update_labels(ALICE, "web1", set_labels={f"l{n}": "" for n in range(32)}, unset=[])
    with pytest.raises(LabelInvalid, match="33 labels are too many"):
        await nodes.update_labels(ALICE, "web1", set_labels={"one-more": ""}, unset=[])
    assert "one-more" in (await nodes.update_labels(ALICE, "web1", set_labels={"one-more": ""}, unset=["l0"])).labels


async def test_the_first_alias_is_the_name_and_the_next_one_follows(nodes: NodeService) -> None:
    await nodes.add_alias(ALICE, "web1", "www")
    assert (await nodes.get(ALICE, "www")).name == "web1"
    node = await nodes.remove_alias(ALICE, "www", "web1")
    assert (node.name, node.aliases) == ("www", ["www"])
    assert (await nodes.remove_alias(ALICE, "www", "www")).name == "node-aaaa1"


async def test_an_alias_is_unique_in_its_cluster_and_free_in_another(nodes: NodeService, db: Database) -> None:
    with pytest.raises(AliasExists, match="has the alias web2"):
        await nodes.add_alias(ALICE, "web1", "web2")
    await db.write(lambda tx: add_node(tx, "bergen", "bbbb1", "web2"))
    assert (await nodes.get(ALICE, "web2.bergen")).id == "bbbb1"


async def test_of_two_nodes_that_want_the_same_alias_at_once_one_gets_it(nodes: NodeService) -> None:
    attempts = (nodes.add_alias(ALICE, reference, "www") for reference in ("aaaa1", "aaaa2"))
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["AliasExists", "Node"]


@pytest.mark.parametrize("alias", ["", "Web", "node-web", "web.1", "3f2a91c4-0b1d-4e5f-8a6b-7c8d9e0f1a2b", "a" * 64])
async def test_what_may_be_no_alias_is_refused(nodes: NodeService, alias: str) -> None:
    with pytest.raises(NameInvalid):
        await nodes.add_alias(ALICE, "web1", alias)


async def test_an_alias_of_another_node_is_not_removed(nodes: NodeService) -> None:
    with pytest.raises(AliasNotFound, match="web1 has no alias 'web2'"):
        await nodes.remove_alias(ALICE, "web1", "web2")


async def test_a_node_moves_with_its_aliases_until_the_cluster_is_full(nodes: NodeService) -> None:
    moved = await nodes.move(ALICE, "web1", "bergen")
    assert (moved.cluster_name, moved.aliases) == ("bergen", ["web1"])
    with pytest.raises(NodeLimitReached):
        await nodes.move(ALICE, "web2", "bergen")
    with pytest.raises(Conflict, match="is in bergen already"):
        await nodes.move(ALICE, "web1", "bergen")


async def test_a_node_whose_alias_is_taken_there_stays_where_it_is(nodes: NodeService, db: Database) -> None:
    await db.write(lambda tx: [add_cluster(tx, "molde"), add_node(tx, "molde", "cccc1", "web1")])
    with pytest.raises(AliasExists, match="a node of molde has one of the aliases of web1"):
        await nodes.move(ALICE, "web1.oslo", "molde")
    assert (await nodes.get(ALICE, "aaaa1")).cluster_name == "oslo"


async def test_a_confined_caller_moves_nothing_out_of_its_scope(nodes: NodeService) -> None:
    with pytest.raises(ScopeDenied):
        await nodes.move(a_caller(clusters=["id-of-oslo"]), "web1", "bergen")
    with pytest.raises(NodeNotFound):
        await nodes.delete(a_caller(clusters=["id-of-bergen"]), "web1")


async def test_a_deleted_node_is_gone_with_its_names_and_whoever_asked_is_told(
    nodes: NodeService, gone: list[NodeId]
) -> None:
    await nodes.update_labels(ALICE, "web1", set_labels={"site": "oslo"}, unset=[])
    await nodes.delete(ALICE, "web1")
    assert gone == ["aaaa1"]
    with pytest.raises(NodeNotFound):
        await nodes.get(ALICE, "web1")
    assert (await nodes.add_alias(ALICE, "web2", "web1")).aliases == ["web2", "web1"]


async def test_a_token_belongs_to_one_node_and_dies_with_it(nodes: NodeService, db: Database) -> None:
    def set_token(tx: Session) -> None:
        row = tx.get(NodeRow, "aaaa1")
        assert row is not None
        row.token_hash = hash_token("edge_node_secret")

    await db.write(set_token)
    assert (await nodes.authenticate("edge_node_secret")).id == "aaaa1"
    await nodes.delete(ALICE, "web1")
    with pytest.raises(Unauthenticated, match="it may have been deleted"):
        await nodes.authenticate("edge_node_secret")


async def test_pages_follow_each_other_by_name_and_miss_nothing(nodes: NodeService, db: Database) -> None:
    await db.write(lambda tx: [add_node(tx, "bergen", "bbbb1", "web1"), add_node(tx, "bergen", "bbbb2")])
    seen: list[str] = []
    page, after = await nodes.list_page(ALICE, EVERYTHING, after=None, page_size=3)
    seen += [node.id for node in page]
    assert after == ("web1", "bbbb1")
    page, after = await nodes.list_page(ALICE, EVERYTHING, after=after, page_size=3)
    assert [*seen, *(node.id for node in page)] == ["bbbb2", "aaaa1", "bbbb1", "aaaa2"]
    assert after is None


async def test_a_confined_caller_sees_and_counts_its_own_nodes(nodes: NodeService) -> None:
    in_bergen = a_caller(clusters=["id-of-bergen"])
    assert await nodes.list_page(in_bergen, EVERYTHING, after=None, page_size=0) == ([], None)
    assert (await nodes.count(ALICE), await nodes.count(in_bergen)) == (2, 0)


async def test_a_node_is_online_while_the_admin_that_holds_its_session_is_alive(
    nodes: NodeService, db: Database, clock: WallClock
) -> None:
    admin = AdminPresence(db=db, admin_id="admin-1", version="0.1.0", urls=["https://a.example:44100"], now=clock)
    await admin.beat()

    def hold(tx: Session) -> None:
        row = tx.get(NodeRow, "aaaa1")
        assert row is not None
        row.session_admin_id = "admin-1"

    await db.write(hold)
    assert (await nodes.get(ALICE, "web1")).status is NodeStatus.ONLINE
    assert (await nodes.get(ALICE, "web2")).status is NodeStatus.OFFLINE
    clock.advance(timedelta(seconds=21))
    assert (await nodes.get(ALICE, "web1")).status is NodeStatus.OFFLINE
