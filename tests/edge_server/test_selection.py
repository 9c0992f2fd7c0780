"""Checks how selectors and references find nodes, on both databases and within a caller's scope."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import event, update
from sqlalchemy.orm import Session

from edge_server.admins.models import AdminRow
from edge_server.commands.domain import Outcome, State
from edge_server.commands.lookup import EARLIER_COMMANDS
from edge_server.commands.models import ExecutionRow
from edge_server.db.database import Database
from edge_server.nodes import repository
from edge_server.nodes.selection import Selection, Surroundings, resolve
from edge_server.principals.domain import Caller
from edge_wire.errors import (
    ClusterNotFound,
    CommandNotFound,
    InvalidValue,
    LabelUnknown,
    NodeAmbiguous,
    NodeNotFound,
    NodesNotMatched,
    ScopeDenied,
    SelectorEmpty,
)
from tests.edge_server.command_rows import add_command
from tests.edge_server.fleet import ALICE, NOON, a_caller, add_cluster, add_node

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


AROUND = Surroundings(now=NOON, commands=EARLIER_COMMANDS)


async def ids(db: Database, selection: Selection, caller: Caller = ALICE) -> list[str]:
    return await db.read(lambda tx: [str(node.id) for node in resolve(tx, caller.principal, selection, AROUND)])


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


# --- node sets, labels, exclusion ------------------------------------------------------------------------------------

EDGES = [f"{number:08x}-0000-4000-8000-00000000ed9e" for number in range(1, 5)]
"""edge01 to edge04 in oslo; the first two at site oslo, the third at site molde, the last without labels."""


@pytest.fixture
async def edges(fleet: Database) -> Database:
    def more(tx: Session) -> None:
        for place, node_id in enumerate(EDGES, start=1):
            add_node(tx, "oslo", node_id, f"edge{place:02}")
        for node_id, labels in zip(
            EDGES, ({"site": "oslo", "role": "web"}, {"site": "oslo", "role": "db"}, {"site": "molde"}), strict=False
        ):
            repository.set_labels(tx, node_id, labels)
        repository.set_labels(tx, BERGEN_WEB1, {"secret": "yes"})

    await fleet.write(more)
    return fleet


def edge(*places: int) -> list[str]:
    return [EDGES[place - 1] for place in places]


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        (Selection(nodes=["edge[01-04]!edge02"]), edge(1, 3, 4)),
        (Selection(nodes=["edge[01-02],edge[02-03]"]), edge(1, 2, 3)),
        (Selection(labels=["site=oslo"]), edge(1, 2)),
        (Selection(labels=["site=oslo,role!=db"]), edge(1)),
        (Selection(labels=["site=oslo", "role!=db"]), edge(1)),
        (Selection(nodes=["edge[01-04]"], labels=["!site"]), edge(4)),
        (Selection(nodes=["edge[01-04]"], labels=["site!=oslo"]), edge(3, 4)),
        (Selection(labels=["site"], exclude=["edge01", "edge03"]), edge(2)),
        (Selection(clusters=["oslo"], labels=["role"]), edge(1, 2)),
        (Selection(nodes=["edge01"], pick=5), edge(1)),
    ],
)
async def test_sources_add_up_and_labels_and_exclusion_narrow(
    edges: Database, selection: Selection, found: Sequence[str]
) -> None:
    assert await ids(edges, selection) == found


async def test_pick_takes_so_many_of_what_is_left_and_no_other(edges: Database) -> None:
    seen = set()
    for _ in range(30):
        picked = await ids(edges, Selection(nodes=["edge[01-04]"], exclude=["edge04"], pick=2))
        assert len(picked) == 2
        seen.update(picked)
    assert seen == set(edge(1, 2, 3))


async def test_names_of_a_set_that_do_not_exist_are_told_together(edges: Database) -> None:
    with pytest.raises(NodeNotFound, match=re.escape("there are no nodes edge[05-07]")):
        await named(edges, "edge[01-07]")
    with pytest.raises(NodeNotFound, match="there is no node 'edge09'"):
        await named(edges, "edge[01-04]!edge09")
    with pytest.raises(NodeNotFound, match="10000 of the names are no nodes"):
        await named(edges, "edge[00001-10000]")


async def test_a_name_that_is_left_out_must_exist_too(edges: Database) -> None:
    with pytest.raises(NodeNotFound, match="'edge99'"):
        await ids(edges, Selection(all=True, exclude=["edge99"]))


@pytest.mark.parametrize("text", ["sites=oslo", "sites!=oslo", "!sites", "sites"])
async def test_a_label_that_no_node_has_is_a_mistake_also_behind_a_not(edges: Database, text: str) -> None:
    with pytest.raises(LabelUnknown, match="no node has a label 'sites'") as raised:
        await ids(edges, Selection(labels=[text]))
    assert raised.value.hint == "did you mean site?"


async def test_a_value_that_no_node_has_names_those_that_come_near(edges: Database) -> None:
    with pytest.raises(NodesNotMatched, match="no node has site=olso") as raised:
        await ids(edges, Selection(labels=["site=olso"]))
    assert raised.value.hint == "did you mean site=oslo?"


async def test_labels_of_nodes_out_of_scope_are_unknown(edges: Database) -> None:
    with pytest.raises(LabelUnknown):
        await ids(edges, Selection(labels=["secret"]), IN_OSLO)


@pytest.mark.parametrize("selection", [Selection(online=True), Selection(exclude=["edge01"]), Selection(pick=3)])
async def test_what_only_narrows_is_no_selector(edges: Database, selection: Selection) -> None:
    with pytest.raises(SelectorEmpty) as raised:
        await ids(edges, selection)
    assert raised.value.hint == "add --all to narrow what there is"


async def test_online_means_that_a_living_admin_holds_the_session(edges: Database) -> None:
    def hold(tx: Session) -> None:
        for admin_id, seen_at in (("alive", NOON), ("dead", NOON - timedelta(minutes=5))):
            tx.add(AdminRow(id=admin_id, version="0", urls=[], started_at=NOON, seen_at=seen_at))
        for node_id, admin_id in zip(EDGES, ("alive", "dead"), strict=False):
            row = repository.find(tx, node_id)
            assert row is not None
            row.session_admin_id = admin_id

    await edges.write(hold)
    assert await ids(edges, Selection(nodes=["edge[01-04]"], online=True)) == edge(1)


async def test_nothing_left_says_what_was_looked_for(edges: Database) -> None:
    with pytest.raises(NodesNotMatched, match="there is no node in edge04 with site=oslo outside of edge01"):
        await ids(edges, Selection(nodes=["edge04"], labels=["site=oslo"], exclude=["edge01"]))


async def test_the_nodes_of_an_earlier_command_are_a_set_like_others(edges: Database) -> None:
    def ran(tx: Session) -> None:
        command = add_command(tx, "9f3c0000-aaaa-4000-8000-000000000001", *["oslo"] * 4)
        for place, (node_id, outcome) in enumerate(zip(EDGES, Outcome, strict=False)):
            tx.execute(
                update(ExecutionRow)
                .where(ExecutionRow.id == f"{command.id}-{place}")
                .values(node_id=node_id, outcome=outcome, state=State.ENDED)
            )

    await edges.write(ran)
    assert await named(edges, "@command:9f3c=ok") == edge(1)
    assert await named(edges, "@command:9f3c=failed,cancelled") == edge(2, 4)
    assert await named(edges, "@command:9f3c!edge03") == edge(1, 2, 4)
    assert await ids(edges, Selection(all=True, labels=["site"], exclude=["@command:9f3c=ok"])) == edge(2, 3)
    with pytest.raises(NodesNotMatched):
        await named(edges, "@command:9f3c=lost")
    with pytest.raises(CommandNotFound):
        await named(edges, "@command:ffff=ok")


async def test_a_selector_of_ten_thousand_names_takes_few_queries(db: Database) -> None:
    """Counted, not timed."""
    many = [str(UUID(int=number)) for number in range(2000)]

    def fill_many(tx: Session) -> None:
        add_cluster(tx, "oslo")
        for place, node_id in enumerate(many):
            add_node(tx, "oslo", node_id, f"n{place}")

    await db.write(fill_many)
    queries: list[str] = []

    def count(tx: Session) -> list[str]:
        event.listen(tx.connection(), "before_cursor_execute", lambda *args: queries.append(args[2]))
        return [node.name for node in resolve(tx, ALICE.principal, Selection(nodes=["n[0-1999]"]), AROUND)]

    assert len(await db.read(count)) == 2000
    assert len(queries) <= 10
