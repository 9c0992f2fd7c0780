"""What the admin's tests put into a database: clusters, nodes and callers with chosen names, at chosen times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from sqlalchemy.orm import Session

from edge_server.clusters.models import ClusterRow
from edge_server.nodes import repository
from edge_server.nodes.models import NodeRow
from edge_server.nodes.service import rename
from edge_server.principals.domain import Caller, Principal, PrincipalId, Role

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PROPERTY = settings(derandomize=True, deadline=None)
"""Every run tries the same examples, and none is judged by its duration."""


@dataclass
class WallClock:
    """A clock that only moves when a test says so."""

    time: datetime = NOON

    def __call__(self) -> datetime:
        return self.time

    def advance(self, span: timedelta) -> None:
        """Let time pass."""
        self.time += span


def a_caller(*, role: Role = Role.ADMIN, clusters: Sequence[str] | None = None, name: str = "alice") -> Caller:
    """Someone who calls, confined to these cluster ids."""
    scope = None if clusters is None else frozenset(clusters)
    principal = Principal(id=PrincipalId(f"id-of-{name}"), name=name, role=role, cluster_ids=scope)
    return Caller(principal=principal, request_id="request-1", peer="192.0.2.7")


ALICE = a_caller()


def add_cluster(tx: Session, name: str, *, node_limit: int | None = None) -> str:
    """Insert a cluster; its id is `id-of-NAME`."""
    row = ClusterRow(id=f"id-of-{name}", name=name, node_limit=node_limit, created_at=NOON)
    tx.add(row)
    tx.flush()
    return row.id


def add_node(tx: Session, cluster: str, node_id: str, *aliases: str) -> NodeRow:
    """Insert a node into the cluster of that name."""
    row = NodeRow(
        id=node_id,
        cluster_id=f"id-of-{cluster}",
        name=f"node-{node_id}",
        key_fingerprint=f"key of {node_id}".encode(),
        token_hash=f"token of {node_id}".encode(),
        certificate=b"certificate",
        facts={},
        agent_version="0.1.0",
        enrolled_at=NOON,
        clock_skew_ms=0,
        session_epoch=0,
        superseded_instances=[],
    )
    tx.add(row)
    tx.flush()
    for alias in aliases:
        repository.add_alias(tx, row, alias)
    rename(tx, row)
    return row
