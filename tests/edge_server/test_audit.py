"""Checks the audit log on both databases: every change and its row stand or fall together."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from edge_server.audit.models import AuditRow
from edge_server.audit.service import AuditService, Change, record
from edge_server.clusters.service import ClusterService
from edge_server.commands.lookup import EARLIER_COMMANDS
from edge_server.db.database import Database
from edge_server.enrollment.service import EnrollmentService, NewKey
from edge_server.nodes.domain import NodeId
from edge_server.nodes.service import NodeService, OnDelete, count_by_cluster
from edge_server.principals.domain import Role
from edge_server.principals.service import NewToken, PrincipalService
from edge_wire import certificates
from edge_wire.errors import AliasExists, ClusterNotEmpty, NodeNotFound, ScopeDenied
from tests.edge_server.fleet import ALICE, NOON, WallClock, a_caller, add_cluster, add_node


def fill(tx: Session) -> None:
    add_cluster(tx, "oslo")
    add_cluster(tx, "bergen")
    add_node(tx, "oslo", "aaaa1", "web1")
    add_node(tx, "oslo", "aaaa2", "web2")


@pytest.fixture
async def fleet(db: Database) -> Database:
    await db.write(fill)
    return db


def clusters_of(db: Database) -> ClusterService:
    return ClusterService(db=db, count_nodes=count_by_cluster, now=WallClock())


def leave_open(tx: Session, node_id: NodeId, now: datetime) -> None:
    """Nothing runs on these nodes."""


def nodes_of(db: Database, on_delete: OnDelete = leave_open) -> NodeService:
    return NodeService(
        db=db, now=WallClock(), earlier_commands=EARLIER_COMMANDS, on_delete=on_delete, after_delete=lambda _: None
    )


async def entries(db: Database) -> list[AuditRow]:
    """Oldest first."""
    rows, _ = await AuditService(db=db).list_page(ALICE, before_id=None, action="", page_size=0)
    return list(rows)[::-1]


async def actions(db: Database) -> list[str]:
    return [row.action for row in await entries(db)]


async def test_a_row_says_who_did_what_to_whom_and_when(db: Database) -> None:
    await clusters_of(db).create(ALICE, "oslo", 5)
    [row] = await entries(db)
    assert (row.time, row.principal_id, row.principal_name) == (NOON, "id-of-alice", "alice")
    assert (row.action, row.subject_name, row.cluster) == ("cluster.create", "oslo", "oslo")
    assert (row.details, row.request_id, row.peer) == ({"node_limit": "5"}, "request-1", "192.0.2.7")


async def test_every_change_of_clusters_and_nodes_leaves_a_row(fleet: Database) -> None:
    clusters, nodes = clusters_of(fleet), nodes_of(fleet)
    await clusters.create(ALICE, "molde", None)
    await clusters.update(ALICE, "oslo", 9)
    await clusters.delete(ALICE, "molde")
    await nodes.update_labels(ALICE, "web1", set_labels={"rack": "7"}, unset=["site"])
    await nodes.add_alias(ALICE, "web1", "www")
    await nodes.remove_alias(ALICE, "web1", "www")
    await nodes.move(ALICE, "web1", "bergen")
    await nodes.delete(ALICE, "web1")
    rows = await entries(fleet)
    assert [(row.action, row.details) for row in rows] == [
        ("cluster.create", {"node_limit": "none"}),
        ("cluster.update", {"node_limit": "9"}),
        ("cluster.delete", {"node_limit": "none"}),
        ("node.update", {"set": "rack", "unset": "site"}),
        ("node.add_alias", {"alias": "www"}),
        ("node.remove_alias", {"alias": "www"}),
        ("node.move", {"to": "bergen"}),
        ("node.delete", {}),
    ]
    assert [row.subject_id for row in rows[3:]] == ["aaaa1"] * 5


async def test_every_change_of_credentials_leaves_a_row_without_a_secret(fleet: Database) -> None:
    enrollment = EnrollmentService(db=fleet, authority=certificates.new_authority("test"), now=WallClock())
    tokens = PrincipalService(db=fleet, builtins=[], now=WallClock())
    key, nonce = await enrollment.create(ALICE, NewKey(cluster_name="oslo", uses=0, expires_in=None, labels={}))
    await enrollment.update(ALICE, key.id, uses=2, expires_in=None)
    await enrollment.delete(ALICE, key.id)
    wish = NewToken(name="ci", role=Role.VIEWER, cluster_names=["oslo"], expires_in=None)
    _, token = await tokens.create(ALICE, wish)
    await tokens.delete(ALICE, "ci")
    rows = await entries(fleet)
    assert [(row.action, row.details) for row in rows] == [
        ("enroll_key.create", {"uses": "unlimited", "expires": "2026-03-02T12:00:00+00:00"}),
        ("enroll_key.update", {"uses": "2", "expires": "2026-03-02T12:00:00+00:00"}),
        ("enroll_key.delete", {"uses": "2", "expires": "2026-03-02T12:00:00+00:00"}),
        ("token.create", {"role": "viewer", "clusters": "oslo"}),
        ("token.delete", {}),
    ]
    assert not [row for row in rows if token in str(vars(row)) or nonce.hex() in str(vars(row))]


async def test_what_was_refused_leaves_no_row(fleet: Database) -> None:
    with pytest.raises(AliasExists):
        await nodes_of(fleet).add_alias(ALICE, "web1", "web2")
    with pytest.raises(ClusterNotEmpty):
        await clusters_of(fleet).delete(ALICE, "oslo")
    with pytest.raises(NodeNotFound):
        await nodes_of(fleet).delete(ALICE, "web3")
    assert await entries(fleet) == []


async def test_a_change_that_fails_after_its_row_was_written_leaves_neither(fleet: Database) -> None:
    def fail(tx: Session, node_id: NodeId, now: datetime) -> None:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        await nodes_of(fleet, fail).delete(ALICE, "web1")
    assert await entries(fleet) == []
    assert (await nodes_of(fleet).get(ALICE, "web1")).id == "aaaa1"


async def test_a_row_that_cannot_be_written_takes_its_change_back(fleet: Database) -> None:
    await fleet.write(lambda tx: tx.execute(text("ALTER TABLE audit RENAME TO elsewhere")))
    with pytest.raises(Exception, match=r"database is down|audit"):
        await clusters_of(fleet).create(ALICE, "molde", None)
    with pytest.raises(Exception, match=r"database is down|audit"):
        await nodes_of(fleet).add_alias(ALICE, "web1", "www")
    await fleet.write(lambda tx: tx.execute(text("ALTER TABLE elsewhere RENAME TO audit")))
    assert [cluster.name for cluster in await clusters_of(fleet).list_all(ALICE)] == ["bergen", "oslo"]
    assert (await nodes_of(fleet).get(ALICE, "web1")).aliases == ["web1"]
    assert await entries(fleet) == []


async def test_the_log_does_not_change_when_its_subject_does(fleet: Database) -> None:
    nodes = nodes_of(fleet)
    await nodes.add_alias(ALICE, "web1", "www")
    await nodes.remove_alias(ALICE, "web1", "web1")
    await nodes.delete(ALICE, "www")
    assert [row.subject_name for row in await entries(fleet)] == ["web1", "www", "www"]


async def test_pages_go_back_in_time_and_may_be_of_one_action(db: Database) -> None:
    def fill_log(tx: Session) -> None:
        for number in range(7):
            record(tx, ALICE, Change(action=f"noun.verb{number % 2}", subject_id=str(number)), NOON)

    await db.write(fill_log)
    audit = AuditService(db=db)
    first, before = await audit.list_page(ALICE, before_id=None, action="", page_size=4)
    second, end = await audit.list_page(ALICE, before_id=before, action="", page_size=4)
    assert [[row.subject_id for row in page] for page in (first, second)] == [["6", "5", "4", "3"], ["2", "1", "0"]]
    assert end is None
    odd, _ = await audit.list_page(ALICE, before_id=None, action="noun.verb1", page_size=0)
    assert [row.subject_id for row in odd] == ["5", "3", "1"]


async def test_a_confined_caller_does_not_read_the_log(db: Database) -> None:
    with pytest.raises(ScopeDenied):
        await AuditService(db=db).list_page(a_caller(clusters=["id-of-oslo"]), before_id=None, action="", page_size=0)
