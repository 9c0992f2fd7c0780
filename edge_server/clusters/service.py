"""Managing clusters, and the questions that other features ask about them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from uuid import uuid4

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from edge_server.audit.service import Change, record
from edge_server.clusters import repository
from edge_server.clusters.domain import Cluster
from edge_server.clusters.models import ClusterRow
from edge_server.db.database import Database
from edge_server.principals.domain import Caller, Principal
from edge_wire.errors import ClusterExists, ClusterNotEmpty, ClusterNotFound, InvalidValue, NodeLimitReached
from edge_wire.names import check_cluster_name, is_storable, quoted

NODE_LIMIT = 1_000_000_000

CountNodes = Callable[[Session], dict[str, int]]
"""Cluster id → number of its nodes; clusters without nodes may be missing."""


def find_clusters(tx: Session, names: Collection[str]) -> Sequence[ClusterRow]:
    """The clusters of these names. Raises ClusterNotFound for the first that is missing."""
    found = repository.find_by_names(tx, [name for name in names if is_storable(name)])
    missing = set(names) - {row.name for row in found}
    if missing:
        raise ClusterNotFound(f"there is no cluster {quoted(min(missing))}", hint="edgectl cluster list")
    return found


def find_visible_cluster(tx: Session, principal: Principal, name: str) -> ClusterRow:
    """One cluster in the caller's scope. Raises ClusterNotFound, ScopeDenied."""
    row = find_clusters(tx, [name])[0]
    principal.require_cluster(row.id, row.name)
    return row


def lock_cluster(tx: Session, cluster_id: str) -> ClusterRow:
    """One cluster, locked so that its node limit holds. Raises ClusterNotFound."""
    row = repository.lock(tx, cluster_id)
    if row is None:
        raise ClusterNotFound
    return row


def names_by_id(tx: Session, ids: Collection[str]) -> dict[str, str]:
    """Cluster id → name."""
    return repository.names_by_id(tx, ids)


def require_room(row: ClusterRow, node_count: int) -> None:
    """Raise NodeLimitReached when one more node is too many."""
    if row.node_limit is not None and node_count >= row.node_limit:
        raise NodeLimitReached(
            f"cluster {row.name} may have {row.node_limit} nodes and has {node_count}",
            hint=f"edgectl cluster set {row.name} --node-limit N",
        )


def ensure_default_cluster(tx: Session, name: str, now: datetime) -> None:
    """Make the first cluster of an installation that has none."""
    if name and repository.count(tx) == 0:
        tx.add(ClusterRow(id=str(uuid4()), name=check_cluster_name(name), node_limit=None, created_at=now))


def _check_node_limit(node_limit: int | None) -> None:
    if node_limit is not None and node_limit > NODE_LIMIT:
        raise InvalidValue(f"a cluster has at most {NODE_LIMIT} nodes; leave the limit out for any number")


class ClusterService:
    """Use cases of clusters."""

    def __init__(self, *, db: Database, count_nodes: CountNodes, now: Callable[[], datetime]) -> None:
        self._db = db
        self._count_nodes = count_nodes
        self._now = now

    async def list_all(self, caller: Caller) -> list[Cluster]:
        """Clusters in the caller's scope, by name."""

        def work(tx: Session) -> list[Cluster]:
            rows = repository.list_all(tx, caller.principal.cluster_ids)
            return self._to_clusters(tx, rows)

        return await self._db.read(work)

    async def get(self, caller: Caller, name: str) -> Cluster:
        """One cluster. Raises ClusterNotFound, ScopeDenied."""

        def work(tx: Session) -> Cluster:
            return self._to_clusters(tx, [find_visible_cluster(tx, caller.principal, name)])[0]

        return await self._db.read(work)

    async def create(self, caller: Caller, name: str, node_limit: int | None) -> Cluster:
        """A new cluster. Raises NameInvalid, ClusterExists."""
        caller.principal.require_installation()
        _check_node_limit(node_limit)
        row = ClusterRow(id=str(uuid4()), name=check_cluster_name(name), node_limit=node_limit, created_at=self._now())

        def work(tx: Session) -> Cluster:
            try:
                tx.add(row)
                tx.flush()
            except IntegrityError:
                raise ClusterExists(f"cluster {name} exists", hint=f"edgectl cluster show {name}") from None
            self._record(tx, caller, "cluster.create", row)
            return self._to_clusters(tx, [row])[0]

        return await self._db.write(work)

    async def update(self, caller: Caller, name: str, node_limit: int | None) -> Cluster:
        """Another node limit. Raises ClusterNotFound, NodeLimitReached when more nodes are enrolled already."""
        _check_node_limit(node_limit)

        def work(tx: Session) -> Cluster:
            row = lock_cluster(tx, find_visible_cluster(tx, caller.principal, name).id)
            count = self._count_nodes(tx).get(row.id, 0)
            if node_limit is not None and count > node_limit:
                raise NodeLimitReached(f"cluster {name} has {count} nodes already")
            row.node_limit = node_limit
            self._record(tx, caller, "cluster.update", row)
            return self._to_clusters(tx, [row])[0]

        return await self._db.write(work)

    async def delete(self, caller: Caller, name: str) -> None:
        """Delete an empty cluster. Raises ClusterNotFound, ClusterNotEmpty."""
        caller.principal.require_installation()

        def work(tx: Session) -> None:
            row = lock_cluster(tx, find_visible_cluster(tx, caller.principal, name).id)
            count = self._count_nodes(tx).get(row.id, 0)
            if count:
                raise ClusterNotEmpty(f"cluster {name} has {count} nodes", hint="move or delete them first")
            self._record(tx, caller, "cluster.delete", row)
            tx.delete(row)

        await self._db.write(work)

    def _record(self, tx: Session, caller: Caller, action: str, row: ClusterRow) -> None:
        limit = "none" if row.node_limit is None else str(row.node_limit)
        change = Change(
            action=action, subject_id=row.id, subject_name=row.name, cluster=row.name, details={"node_limit": limit}
        )
        record(tx, caller, change, self._now())

    def _to_clusters(self, tx: Session, rows: Sequence[ClusterRow]) -> list[Cluster]:
        counts = self._count_nodes(tx)
        return [
            Cluster(
                id=row.id,
                name=row.name,
                node_count=counts.get(row.id, 0),
                node_limit=row.node_limit,
                created_at=row.created_at,
            )
            for row in rows
        ]
