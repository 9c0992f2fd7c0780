"""SQL of enrollment keys."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import CursorResult, or_, select, update
from sqlalchemy.orm import Session

from edge_server.enrollment.models import EnrollmentKeyRow


def find(tx: Session, key_id: str) -> EnrollmentKeyRow | None:
    """One key by id."""
    return tx.get(EnrollmentKeyRow, key_id)


def find_by_prefix(tx: Session, prefix: str, cluster_ids: Collection[str] | None) -> Sequence[EnrollmentKeyRow]:
    """Keys whose id begins so."""
    query = select(EnrollmentKeyRow).where(EnrollmentKeyRow.id.startswith(prefix, autoescape=True)).limit(2)
    return tx.scalars(_in_clusters(query, cluster_ids)).all()


def list_all(tx: Session, cluster_ids: Collection[str] | None) -> Sequence[EnrollmentKeyRow]:
    """Keys, newest first."""
    query = select(EnrollmentKeyRow).order_by(EnrollmentKeyRow.created_at.desc(), EnrollmentKeyRow.id)
    return tx.scalars(_in_clusters(query, cluster_ids)).all()


def spend(tx: Session, key_id: str, now: datetime) -> bool:
    """Take one use by one guarded UPDATE; False when none is left."""
    left = or_(EnrollmentKeyRow.uses_left.is_(None), EnrollmentKeyRow.uses_left > 0)
    changed: CursorResult[Any] = tx.connection().execute(
        update(EnrollmentKeyRow)
        .where(EnrollmentKeyRow.id == key_id, left)
        .values(uses_left=EnrollmentKeyRow.uses_left - 1, last_used_at=now)
    )
    return changed.rowcount == 1


def _in_clusters(query: Any, cluster_ids: Collection[str] | None) -> Any:
    return query if cluster_ids is None else query.where(EnrollmentKeyRow.cluster_id.in_(cluster_ids))
