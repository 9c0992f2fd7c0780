"""What sessions do to nodes: who holds the session, since which epoch, and whether two machines claim one identity."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from edge_server.admins.service import live_admins
from edge_server.nodes import repository
from edge_server.nodes.domain import SUPERSEDED_KEPT, NodeId
from edge_server.nodes.enrolled import VERSION_LIMIT
from edge_server.nodes.models import NodeRow
from edge_wire import names
from edge_wire.errors import Conflict, Unauthenticated

CLONE_GONE_AFTER = timedelta(minutes=5)
"""After this long without the other machine, one that was refused as its clone may come back."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """An agent that wants the session of its node."""

    node_id: NodeId
    instance_id: str
    admin_id: str
    agent_version: str
    facts: Mapping[str, Any]
    labels: Mapping[str, str]
    clock_skew_ms: int


def is_clone(instance_id: str, superseded: Sequence[str]) -> bool:
    """Whether an agent start comes back although another one took its place: two machines share the identity."""
    return instance_id in superseded


def superseded_after(current: str | None, instance_id: str, superseded: Sequence[str]) -> list[str]:
    """The replaced agent starts once this one has the session, newest last."""
    others = [known for known in superseded if known != instance_id]
    if current is None or current == instance_id:
        return others
    return [*others, current][-SUPERSEDED_KEPT:]


def open_session(tx: Session, claim: Claim, now: datetime) -> int | None:
    """Give the session to this claim and return its epoch; None when it is a clone's. Raises Unauthenticated."""
    row = repository.lock(tx, claim.node_id)
    if row is None:
        raise Unauthenticated(
            "the node has been deleted", hint="give the agent an empty data directory and enroll it anew"
        )
    if is_clone(claim.instance_id, row.superseded_instances) and not _is_abandoned(tx, row, now):
        row.conflict_at = now
        return None
    values = {
        "session_admin_id": claim.admin_id,
        "session_instance_id": claim.instance_id,
        "superseded_instances": superseded_after(row.session_instance_id, claim.instance_id, row.superseded_instances),
        "agent_version": names.bounded(claim.agent_version, VERSION_LIMIT),
        "facts": dict(claim.facts),
        "last_seen_at": now,
        "clock_skew_ms": claim.clock_skew_ms,
    }
    if not repository.open_session(tx, node_id=row.id, expected_epoch=row.session_epoch, values=values):
        raise Conflict("another session of this node opened at the same time")
    repository.remove_labels_with_prefix(tx, row.id, names.AGENT_LABEL_PREFIX)
    repository.set_labels(tx, row.id, dict(claim.labels))
    return row.session_epoch + 1


def _is_abandoned(tx: Session, row: NodeRow, now: datetime) -> bool:
    """Whether whoever took the identity over is gone for long enough not to be one of two that take turns."""
    if row.session_admin_id is not None and row.session_admin_id in live_admins(tx, now):
        return False
    return row.last_seen_at is None or now - row.last_seen_at >= CLONE_GONE_AFTER


def holders(tx: Session, node_ids: Collection[NodeId]) -> dict[NodeId, str]:
    """Node id → the admin that holds its session, of those that have one."""
    rows = repository.find_by_ids(tx, node_ids)
    return {NodeId(row.id): row.session_admin_id for row in rows if row.session_admin_id is not None}


def close_session(tx: Session, node_id: NodeId, epoch: int, now: datetime) -> None:
    """Nobody holds the session any more, unless a newer one took its place."""
    repository.close_session(tx, node_id=node_id, epoch=epoch, now=now)


def touch_sessions(tx: Session, admin_id: str, now: datetime) -> None:
    """Note that every node with a session here was heard of."""
    repository.touch(tx, admin_id=admin_id, now=now)


def clear_sessions(tx: Session, admin_id: str | None = None) -> None:
    """At start on SQLite nobody holds a session (None); at the end this admin does not."""
    repository.clear_holder(tx, admin_id)
