"""One node as rules about nodes see it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from edge_server.clusters.service import names_by_id
from edge_server.nodes import repository
from edge_server.nodes.domain import NodeId, Place


def place_of(tx: Session, node_id: str) -> Place | None:
    """The node of an id."""
    row = repository.find(tx, node_id)
    if row is None:
        return None
    return Place(
        id=NodeId(row.id),
        cluster_id=row.cluster_id,
        cluster_name=names_by_id(tx, {row.cluster_id})[row.cluster_id],
        aliases=repository.aliases_of(tx, [row.id]).get(row.id, []),
        labels=repository.labels_of(tx, [row.id]).get(row.id, {}),
    )
