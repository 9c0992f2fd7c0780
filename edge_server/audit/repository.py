"""SQL of the audit log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from edge_server.audit.models import AuditRow

_INSERT = insert(AuditRow).inline()
"""Put together once; past the unit of work of the ORM, which takes longer than the database."""


def insert_row(tx: Session, values: Mapping[str, Any]) -> None:
    """Write one row."""
    tx.connection().execute(_INSERT, values)


def list_before(tx: Session, *, before_id: int | None, action: str, limit: int) -> Sequence[AuditRow]:
    """Rows older than one id, newest first."""
    query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(AuditRow.id < before_id)
    if action:
        query = query.where(AuditRow.action == action)
    return tx.scalars(query).all()
