"""What sessions do to nodes: who holds the session, since which epoch, and whether two machines claim one identity."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from edge_server.admins.service import live_admins
from edge_server.nodes import repository
from edge_server.nodes.domain import SUPERSEDED_KEPT, NodeId, Presence
from edge_server.nodes.enrolled import VERSION_LIMIT
from edge_wire import names
from edge_wire.errors import EdgeError, Unauthenticated

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


def open_sessions(tx: Session, claims: Sequence[Claim], now: datetime) -> list[int | EdgeError | None]:
    """Give sessions to claims, in their order: of each the epoch, None when it is a clone's, or Unauthenticated."""
    known = repository.lock_presences(tx, {claim.node_id for claim in claims})
    won: dict[NodeId, Claim] = {}
    answers: list[int | EdgeError | None] = []
    for claim in claims:
        presence = known.get(claim.node_id)
        if presence is None:
            hint = "give the agent an empty data directory and enroll it anew"
            answers.append(Unauthenticated("the node has been deleted", hint=hint))
        elif is_clone(claim.instance_id, presence.superseded) and not _is_abandoned(tx, presence, now):
            known[claim.node_id] = presence._replace(conflict_at=now)
            answers.append(None)
        else:
            known[claim.node_id] = _given_to(presence, claim, now)
            won[claim.node_id] = claim
            answers.append(known[claim.node_id].epoch)
    repository.write_nodes(tx, [_columns(known[node_id], claim) for node_id, claim in won.items()])
    others = [presence for node_id, presence in known.items() if node_id not in won]
    repository.write_nodes(tx, [{"id": presence.id, "conflict_at": presence.conflict_at} for presence in others])
    _store_labels(tx, {node_id: claim.labels for node_id, claim in won.items()})
    return answers


def _given_to(presence: Presence, claim: Claim, now: datetime) -> Presence:
    return presence._replace(
        epoch=presence.epoch + 1,
        admin_id=claim.admin_id,
        instance_id=claim.instance_id,
        superseded=superseded_after(presence.instance_id, claim.instance_id, presence.superseded),
        last_seen_at=now,
    )


def _columns(presence: Presence, claim: Claim) -> dict[str, Any]:
    return {
        "id": presence.id,
        "session_epoch": presence.epoch,
        "session_admin_id": presence.admin_id,
        "session_instance_id": presence.instance_id,
        "superseded_instances": list(presence.superseded),
        "agent_version": names.bounded(claim.agent_version, VERSION_LIMIT),
        "facts": dict(claim.facts),
        "last_seen_at": presence.last_seen_at,
        "clock_skew_ms": claim.clock_skew_ms,
        "conflict_at": presence.conflict_at,
    }


def _store_labels(tx: Session, wanted: Mapping[NodeId, Mapping[str, str]]) -> None:
    """What agents say of themselves; mostly it is what they said before."""
    known = repository.labels_with_prefix(tx, wanted, names.AGENT_LABEL_PREFIX)
    for node_id, labels in wanted.items():
        before = known.get(node_id, {})
        if before != dict(labels):
            repository.remove_labels(tx, node_id, before)
            repository.set_labels(tx, node_id, dict(labels))


def _is_abandoned(tx: Session, presence: Presence, now: datetime) -> bool:
    """Whether whoever took the identity over is gone for long enough not to be one of two that take turns."""
    if presence.admin_id is not None and presence.admin_id in live_admins(tx, now):
        return False
    return presence.last_seen_at is None or now - presence.last_seen_at >= CLONE_GONE_AFTER


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
