"""SQL of running admins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from edge_server.admins.models import AdminRow

_URLS_SEEN_SINCE = select(AdminRow.id, AdminRow.urls).where(AdminRow.seen_at >= bindparam("since"))
"""Put together once: every command asks."""


def save(tx: Session, row: AdminRow) -> None:
    """Insert or refresh one admin."""
    tx.merge(row)


def remove(tx: Session, admin_id: str) -> None:
    """Take one admin out."""
    tx.execute(delete(AdminRow).where(AdminRow.id == admin_id))


def remove_all(tx: Session) -> None:
    """Take every admin out."""
    tx.execute(delete(AdminRow))


def remove_silent(tx: Session, before: datetime) -> None:
    """Take out admins that were last seen before this."""
    tx.execute(delete(AdminRow).where(AdminRow.seen_at < before))


def urls_seen_since(tx: Session, since: datetime) -> dict[str, Sequence[str]]:
    """Admin id → its URLs, of admins that were seen since."""
    return {row[0]: row[1] for row in tx.execute(_URLS_SEEN_SINCE, {"since": since})}
