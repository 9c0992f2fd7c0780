"""SQL of SSH: accounts, keys, admissions, host keys and sessions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.orm import Session

from edge_server.db.chunks import chunks
from edge_server.ssh.models import SshAdmissionRow, SshHostRow, SshKeyRow, SshSessionRow, SshUserRow

# --- accounts and keys


def list_users(tx: Session) -> Sequence[SshUserRow]:
    """Every account, by name."""
    return tx.scalars(select(SshUserRow).order_by(SshUserRow.name)).all()


def find_user(tx: Session, name: str) -> SshUserRow | None:
    """The account of exactly this name."""
    return tx.scalar(select(SshUserRow).where(SshUserRow.name == name))


def count_keys(tx: Session) -> dict[str, int]:
    """Account id → number of its keys; accounts without any are missing."""
    rows = tx.execute(select(SshKeyRow.user_id, func.count().label("key_count")).group_by(SshKeyRow.user_id))
    return {row.user_id: row.key_count for row in rows}


def list_keys(tx: Session, user_ids: Collection[str]) -> Sequence[SshKeyRow]:
    """The keys of these accounts, by name."""
    query = select(SshKeyRow).where(SshKeyRow.user_id.in_(user_ids))
    return tx.scalars(query.order_by(SshKeyRow.user_id, SshKeyRow.name)).all()


def find_keys(tx: Session, user_id: str, fingerprint: str) -> Sequence[SshKeyRow]:
    """The key of an account with this fingerprint."""
    query = select(SshKeyRow).where(SshKeyRow.user_id == user_id, SshKeyRow.fingerprint == fingerprint)
    return tx.scalars(query).all()


# --- admissions and hosts


def find_admission(
    tx: Session, *, node_id: str, user_name: str, fingerprint: str, now: datetime
) -> SshAdmissionRow | None:
    """What lets this key in, of those that are not over the one that lasts longest."""
    fits = (
        SshAdmissionRow.node_id == node_id,
        SshAdmissionRow.fingerprint == fingerprint,
        SshAdmissionRow.user_name == user_name,
        SshAdmissionRow.expires_at > now,
    )
    return tx.scalar(select(SshAdmissionRow).where(*fits).order_by(SshAdmissionRow.expires_at.desc()).limit(1))


def admissions_of(tx: Session, user_id: str) -> Sequence[str]:
    """Ids of what lets keys in as an account."""
    return tx.scalars(select(SshAdmissionRow.id).where(SshAdmissionRow.user_id == user_id)).all()


def remove_admissions(tx: Session, *, over_before: datetime) -> None:
    """Forget those that were over by then, but for those on which a session hangs."""
    is_used = exists().where(
        SshSessionRow.credential_id == "admission/" + SshAdmissionRow.id, SshSessionRow.ended_at.is_(None)
    )
    tx.execute(delete(SshAdmissionRow).where(SshAdmissionRow.expires_at < over_before, ~is_used))


def find_hosts(tx: Session, node_ids: Sequence[str]) -> dict[str, SshHostRow]:
    """Node id → its SSH server."""
    return {row.node_id: row for row in tx.scalars(select(SshHostRow).where(SshHostRow.node_id.in_(node_ids)))}


def find_nodes_with_sessions(tx: Session, node_ids: Sequence[str]) -> set[str]:
    """Which of these nodes have sessions that are not over."""
    running = (SshSessionRow.node_id.in_(node_ids), SshSessionRow.ended_at.is_(None))
    return set(tx.scalars(select(SshSessionRow.node_id).where(*running).distinct()))


def find_host(tx: Session, node_id: str) -> SshHostRow | None:
    """The SSH server of a node."""
    return tx.get(SshHostRow, node_id)


# --- sessions


def add_session(tx: Session, values: Mapping[str, Any]) -> bool:
    """Insert a session; False when it is there already."""
    row = tx.get(SshSessionRow, values["id"])
    if row is not None:
        return False
    tx.add(SshSessionRow(**values))
    tx.flush()
    return True


def end_session(tx: Session, *, session_id: str, node_id: str, values: Mapping[str, Any]) -> SshSessionRow | None:
    """Write the end of a session of this node; None when it is not one that runs, or that was given up as lost."""
    row = tx.get(SshSessionRow, session_id)
    if row is None or row.node_id != node_id or (row.ended_at is not None and row.outcome != "lost"):
        return None
    for name, value in values.items():
        setattr(row, name, value)
    return row


def list_sessions(
    tx: Session,
    *,
    scope: Collection[str] | None,
    node_id: str | None,
    is_open: bool,
    before: SshSessionRow | None,
    limit: int,
) -> Sequence[SshSessionRow]:
    """Sessions, newest first."""
    query = select(SshSessionRow).order_by(SshSessionRow.started_at.desc(), SshSessionRow.id.desc()).limit(limit)
    if scope is not None:
        query = query.where(SshSessionRow.cluster_id.in_(scope))
    if node_id is not None:
        query = query.where(SshSessionRow.node_id == node_id)
    if is_open:
        query = query.where(SshSessionRow.ended_at.is_(None))
    if before is not None:
        is_older = SshSessionRow.started_at < before.started_at
        is_beside = (SshSessionRow.started_at == before.started_at) & (SshSessionRow.id < before.id)
        query = query.where(is_older | is_beside)
    return tx.scalars(query).all()


def find_sessions(tx: Session, reference: str, scope: Collection[str] | None) -> Sequence[SshSessionRow]:
    """At most two sessions whose id begins like this."""
    query = select(SshSessionRow).where(SshSessionRow.id.startswith(reference, autoescape=True)).limit(2)
    if scope is not None:
        query = query.where(SshSessionRow.cluster_id.in_(scope))
    return tx.scalars(query).all()


def open_credentials(tx: Session) -> dict[str, set[str]]:
    """Node id → what the sessions hang on that run there."""
    found: dict[str, set[str]] = {}
    query = select(SshSessionRow.node_id, SshSessionRow.credential_id).where(SshSessionRow.ended_at.is_(None))
    for node_id, credential_id in tx.execute(query):
        found.setdefault(node_id, set()).add(credential_id)
    return found


def count_open(tx: Session, node_id: str) -> int:
    """How many sessions of a node run."""
    running = (SshSessionRow.node_id == node_id, SshSessionRow.ended_at.is_(None))
    return tx.scalar(select(func.count()).select_from(SshSessionRow).where(*running)) or 0


def existing(tx: Session, kind: str, ids: Collection[str]) -> set[str]:
    """Of these keys (`key`), accounts (`user`) or admissions (`admission`), those that are there."""
    column = {"key": SshKeyRow.id, "user": SshUserRow.id, "admission": SshAdmissionRow.id}[kind]
    return {found for some in chunks(sorted(ids)) for found in tx.scalars(select(column).where(column.in_(some)))}


def principals_of(tx: Session, admission_ids: Collection[str]) -> dict[str, str]:
    """Admission id → id of the principal that asked for it."""
    query = select(SshAdmissionRow.id, SshAdmissionRow.principal_id)
    found = (tx.execute(query.where(SshAdmissionRow.id.in_(some))) for some in chunks(sorted(admission_ids)))
    return {row.id: row.principal_id for rows in found for row in rows}


def give_up_sessions(
    tx: Session, *, node_id: str, running: Collection[str], began_before: datetime, now: datetime
) -> int:
    """Sessions of a node that it does not know of any more are over, nobody knows how."""
    gone = (
        SshSessionRow.node_id == node_id,
        SshSessionRow.ended_at.is_(None),
        SshSessionRow.started_at < began_before,
        SshSessionRow.id.not_in(running),
    )
    result: Any = tx.execute(update(SshSessionRow).where(*gone).values(ended_at=now, outcome="lost"))
    return int(result.rowcount)


def remove_sessions(tx: Session, *, ended_before: datetime, limit: int) -> int:
    """Forget some of those that ended before."""
    ids = select(SshSessionRow.id).where(SshSessionRow.ended_at < ended_before).limit(limit)
    result: Any = tx.execute(delete(SshSessionRow).where(SshSessionRow.id.in_(ids.scalar_subquery())))
    return int(result.rowcount)
