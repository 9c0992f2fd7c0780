"""SQL of clusters."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from edge_server.clusters.models import ClusterRow

_NAMES_BY_ID = select(ClusterRow.id, ClusterRow.name).where(ClusterRow.id.in_(bindparam("ids", expanding=True)))
"""Put together once: every command asks."""


def list_all(tx: Session, ids: Collection[str] | None) -> Sequence[ClusterRow]:
    """Clusters by name; `ids` confines them."""
    query = select(ClusterRow).order_by(ClusterRow.name)
    if ids is not None:
        query = query.where(ClusterRow.id.in_(ids))
    return tx.scalars(query).all()


def find_by_names(tx: Session, names: Collection[str]) -> Sequence[ClusterRow]:
    """Clusters of these names that exist."""
    return tx.scalars(select(ClusterRow).where(ClusterRow.name.in_(names)).order_by(ClusterRow.name)).all()


def lock_by_name(tx: Session, name: str) -> ClusterRow | None:
    """One cluster, locked until the transaction ends, so that its node limit holds."""
    return tx.scalar(select(ClusterRow).where(ClusterRow.name == name).with_for_update())


def lock(tx: Session, cluster_id: str) -> ClusterRow | None:
    """As `lock_by_name`."""
    return tx.scalar(select(ClusterRow).where(ClusterRow.id == cluster_id).with_for_update())


def names_by_id(tx: Session, ids: Collection[str]) -> dict[str, str]:
    """Cluster id → name."""
    return {row[0]: row[1] for row in tx.execute(_NAMES_BY_ID, {"ids": list(ids)})}


def count(tx: Session) -> int:
    """How many clusters there are."""
    return tx.scalar(select(func.count()).select_from(ClusterRow)) or 0
