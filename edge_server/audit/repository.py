"""SQL of the audit log."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from edge_server.audit.models import AuditRow


def list_before(tx: Session, *, before_id: int | None, action: str, limit: int) -> Sequence[AuditRow]:
    """Rows older than one id, newest first."""
    query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(AuditRow.id < before_id)
    if action:
        query = query.where(AuditRow.action == action)
    return tx.scalars(query).all()
