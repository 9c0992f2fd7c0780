"""SQL of principals."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from edge_server.db.chunks import chunks
from edge_server.principals.models import PrincipalClusterRow, PrincipalRow


def find_by_token_hash(tx: Session, token_hash: bytes) -> PrincipalRow | None:
    """The principal of a token that was not revoked."""
    return tx.scalar(
        select(PrincipalRow).where(PrincipalRow.token_hash == token_hash, PrincipalRow.revoked_at.is_(None))
    )


def list_live(tx: Session) -> Sequence[PrincipalRow]:
    """Every principal that was not revoked, newest first."""
    query = select(PrincipalRow).where(PrincipalRow.revoked_at.is_(None))
    return tx.scalars(query.order_by(PrincipalRow.created_at.desc(), PrincipalRow.id)).all()


def find_live(tx: Session, reference: str, *, prefix_length: int) -> Sequence[PrincipalRow]:
    """Principals that a name, id or id prefix fits; a name wins over ids."""
    live = select(PrincipalRow).where(PrincipalRow.revoked_at.is_(None))
    by_name = tx.scalars(live.where(PrincipalRow.name == reference)).all()
    if by_name or len(reference) < prefix_length:
        return by_name
    fits = or_(PrincipalRow.id == reference, PrincipalRow.id.startswith(reference, autoescape=True))
    return tx.scalars(live.where(fits).limit(2)).all()


def list_live_ids(tx: Session, ids: Collection[str]) -> set[str]:
    """Of these, those that were not revoked."""
    live = select(PrincipalRow.id).where(PrincipalRow.revoked_at.is_(None))
    return {found for some in chunks(sorted(ids)) for found in tx.scalars(live.where(PrincipalRow.id.in_(some)))}


def list_cluster_ids(tx: Session, principal_ids: Sequence[str]) -> dict[str, list[str]]:
    """Principal id → ids of the clusters that it is confined to."""
    found: dict[str, list[str]] = {principal_id: [] for principal_id in principal_ids}
    query = select(PrincipalClusterRow).where(PrincipalClusterRow.principal_id.in_(principal_ids))
    for row in tx.scalars(query):
        found[row.principal_id].append(row.cluster_id)
    return found


def add(tx: Session, row: PrincipalRow, cluster_ids: Sequence[str]) -> None:
    """Insert a principal. Raises IntegrityError when the name is taken."""
    tx.add(row)
    tx.flush()
    tx.add_all(PrincipalClusterRow(principal_id=row.id, cluster_id=cluster_id) for cluster_id in cluster_ids)


def revoke(row: PrincipalRow, now: datetime) -> None:
    """End a principal's credential."""
    row.revoked_at = now
