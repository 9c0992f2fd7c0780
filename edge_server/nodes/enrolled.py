"""What enrolling does to nodes: finding one by its key pair, making a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from edge_server.clusters.service import lock_cluster, require_room
from edge_server.nodes import repository
from edge_server.nodes.domain import NodeIdentity
from edge_server.nodes.models import NodeRow
from edge_server.nodes.service import identity_of, rename
from edge_wire import names

VERSION_LIMIT = 32


@dataclass(frozen=True, kw_only=True)
class NewNode:
    """An agent that is about to be a node."""

    id: str
    cluster_id: str
    key_fingerprint: bytes
    token_hash: bytes
    certificate: bytes
    facts: Mapping[str, Any]
    agent_version: str
    alias: str
    labels: Mapping[str, str]


def find_by_key_pair(tx: Session, fingerprint: bytes, token_hash: bytes) -> tuple[NodeIdentity, bytes] | None:
    """The node of a key pair and its certificate. Its token follows the newest proof: the answer that told the agent
    of the first one may never have arrived."""
    row = repository.find_by_fingerprint(tx, fingerprint)
    if row is None:
        return None
    row.token_hash = token_hash
    return identity_of(tx, row), row.certificate


def insert_node(tx: Session, new: NewNode, now: datetime) -> NodeIdentity:
    """Insert a node; a wished alias that is unfit or taken is left out. Raises NodeLimitReached."""
    cluster = lock_cluster(tx, new.cluster_id)
    require_room(cluster, repository.count_by_cluster(tx).get(cluster.id, 0))
    row = NodeRow(
        id=new.id,
        cluster_id=new.cluster_id,
        name=names.node_name(new.id, None),
        key_fingerprint=new.key_fingerprint,
        token_hash=new.token_hash,
        certificate=new.certificate,
        facts=dict(new.facts),
        agent_version=names.bounded(new.agent_version, VERSION_LIMIT),
        enrolled_at=now,
        clock_skew_ms=0,
        session_epoch=0,
        superseded_instances=[],
    )
    tx.add(row)
    tx.flush()
    if names.is_alias(new.alias) and repository.find_alias(tx, new.cluster_id, new.alias) is None:
        repository.add_alias(tx, row, new.alias)
        rename(tx, row)
    repository.set_labels(tx, row.id, dict(new.labels))
    return identity_of(tx, row)
