"""Checks how selectors and references find nodes, on both databases and within a caller's scope."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from edge_server.db.database import Database
from edge_server.nodes.selection import Selection, resolve
from edge_server.principals.domain import Caller
from edge_wire.errors import (
    ClusterNotFound,
    InvalidValue,
    NodeAmbiguous,
    NodeNotFound,
    NodesNotMatched,
    ScopeDenied,
    SelectorEmpty,
)
from tests.edge_server.fleet import ALICE, a_caller, add_cluster, add_node

WEB1 = "aaaa1111-0000-4000-8000-000000000001"
WEB2 = "aaaa2222-0000-4000-8000-000000000002"
DB1 = "bbbb0000-0000-4000-8000-000000000003"
BERGEN_WEB1 = "cccc0000-0000-4000-8000-000000000004"
NAMELESS = "dddd0000-0000-4000-8000-000000000005"
IN_OSLO = a_caller(clusters=["id-of-oslo"])


def fill(tx: Session) -> None:
    for cluster in ("oslo", "bergen", "empty"):
        add_cluster(tx, cluster)
    add_node(tx, "oslo", WEB1, "web1", "www")
    add_node(tx, "oslo", WEB2, "web2")
    add_node(tx, "oslo", DB1, "db1")
    add_node(tx, "bergen", BERGEN_WEB1, "web1")
    add_node(tx, "bergen", NAMELESS)


@pytest.fixture
async def fleet(db: Database) -> Database:
    await db.write(fill)
    return db


async def ids(db: Database, selection: Selection, caller: Caller = ALICE) -> list[str]:
    return await db.read(lambda tx: [row.id for row in resolve(tx, caller.principal, selection)])


async def named(db: Database, *references: str, caller: Caller = ALICE) -> list[str]:
    return await ids(db, Selection(nodes=references), caller)


@pytest.mark.parametrize(
    ("reference", "node_id"),
    [
        ("web2", WEB2),
        ("www", WEB1),
        ("WEB2", WEB2),
        ("web1.oslo", WEB1),
        ("web1.bergen", BERGEN_WEB1),
        (DB1, DB1),
        ("bbbb", DB1),
        ("bbbb.oslo", DB1),
        ("aaaa1", WEB1),
        (f"node-{NAMELESS}", NAMELESS),
        ("node-dddd", NAMELESS),
        ("node-web1.cluster-bergen.nm.internal", BERGEN_WEB1),
        (f"node-{WEB1}.cluster-oslo.nm.internal", WEB1),
    ],
)
async def test_a_node_is_found_by_any_of_its_names(fleet: Database, reference: str, node_id: str) -> None:
    assert await named(fleet, reference) == [node_id]


@pytest.mark.parametrize(
    "reference",
    ["web3", "web2.bergen", "bbb", "bbbb.bergen", "eeee", "web%", "____", "", "web1\0", "node-web1.cluster-molde"],
)
async def test_what_fits_no_node_is_not_found(fleet: Database, reference: str) -> None:
    with pytest.raises(NodeNotFound, match="there is no node"):
        await named(fleet, reference)


async def test_a_mistyped_name_gets_the_names_that_come_near(fleet: Database) -> None:
    with pytest.raises(NodeNotFound) as raised:
        await named(fleet, "web9")
    assert set(raised.value.hint.removeprefix("did you mean ").rstrip("?").split(", ")) == {"web1", "web2"}


async def test_an_alias_in_two_clusters_is_ambiguous_and_both_are_named(fleet: Database) -> None:
    with pytest.raises(NodeAmbiguous) as raised:
        await named(fleet, "web1")
    assert raised.value.message == (f"'web1' fits 2 nodes: web1.bergen ({BERGEN_WEB1}), web1.oslo ({WEB1})")
    assert raised.value.hint == "use alias.cluster or more of the id"


async def test_an_id_prefix_of_two_nodes_is_ambiguous(fleet: Database) -> None:
    with pytest.raises(NodeAmbiguous, match="'aaaa' fits 2 nodes"):
        await named(fleet, "aaaa")


async def test_an_alias_wins_over_an_id_that_begins_so(fleet: Database) -> None:
    await fleet.write(lambda tx: add_node(tx, "oslo", "eeee0000-0000-4000-8000-000000000006", "aaaa"))
    assert await named(fleet, "aaaa") == ["eeee0000-0000-4000-8000-000000000006"]


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        (Selection(clusters=["oslo"]), [DB1, WEB1, WEB2]),
        (Selection(clusters=["bergen", "oslo", "oslo"]), [DB1, NAMELESS, WEB1, BERGEN_WEB1, WEB2]),
        (Selection(all=True), [DB1, NAMELESS, WEB1, BERGEN_WEB1, WEB2]),
        (Selection(nodes=["web2", "db1", "web2", "bbbb"]), [DB1, WEB2]),
        (Selection(nodes=["web2"], clusters=["bergen"]), [NAMELESS, BERGEN_WEB1, WEB2]),
    ],
)
async def test_a_selection_is_every_node_once_by_name(
    fleet: Database, selection: Selection, found: Sequence[str]
) -> None:
    assert await ids(fleet, selection) == found


async def test_selecting_nothing_is_an_error_of_its_own(fleet: Database) -> None:
    with pytest.raises(SelectorEmpty):
        await ids(fleet, Selection())


async def test_a_selection_that_matches_nothing_is_an_error(fleet: Database) -> None:
    with pytest.raises(NodesNotMatched, match="there is no node in empty"):
        await ids(fleet, Selection(clusters=["empty"]))
    with pytest.raises(NodesNotMatched, match="there is no node yet"):
        await ids(fleet, Selection(all=True), a_caller(clusters=["id-of-empty"]))
    with pytest.raises(ClusterNotFound, match="'molde'"):
        await ids(fleet, Selection(clusters=["molde"]))


async def test_one_reference_that_fits_nothing_spoils_the_whole_selection(fleet: Database) -> None:
    with pytest.raises(NodeNotFound, match="'web3'"):
        await named(fleet, "web2", "web3")


async def test_outside_of_the_scope_nothing_is_found_and_nothing_is_ambiguous(fleet: Database) -> None:
    assert await named(fleet, "web1", caller=IN_OSLO) == [WEB1]
    assert await ids(fleet, Selection(all=True), IN_OSLO) == [DB1, WEB1, WEB2]
    with pytest.raises(NodeNotFound):
        await named(fleet, NAMELESS, caller=IN_OSLO)
    with pytest.raises(ScopeDenied):
        await ids(fleet, Selection(clusters=["bergen"]), IN_OSLO)


async def test_thousands_of_references_are_resolved_at_once(fleet: Database) -> None:
    many = [str(UUID(int=number)) for number in range(600)]
    await fleet.write(lambda tx: [add_node(tx, "oslo", node_id) for node_id in many])
    assert await named(fleet, *many) == many
    with pytest.raises(InvalidValue, match="10001 references are too many"):
        await named(fleet, *["web2"] * 10_001)


async def test_a_cluster_with_a_nul_character_is_simply_not_there(fleet: Database) -> None:
    with pytest.raises(ClusterNotFound):
        await ids(fleet, Selection(clusters=["os\0lo"]))


async def test_a_node_is_found_in_a_cluster_whose_name_looks_like_the_dns_form(fleet: Database) -> None:
    await fleet.write(lambda tx: [add_cluster(tx, "cluster-x"), add_node(tx, "cluster-x", "eeee", "web7")])
    assert await named(fleet, "node-web7.cluster-cluster-x.nm.internal") == ["eeee"]
    assert await named(fleet, "web7.cluster-x") == ["eeee"]
