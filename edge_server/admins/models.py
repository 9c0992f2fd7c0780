"""Table: running admins."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from edge_server.db.base import ID_LENGTH, Base, UtcDateTime, json_type


class AdminRow(Base):
    """One run of an admin; its heartbeat tells whether the sessions that it holds are alive."""

    __tablename__ = "admins"

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    version: Mapped[str] = mapped_column(String(32))
    urls: Mapped[list[str]] = mapped_column(json_type())
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
