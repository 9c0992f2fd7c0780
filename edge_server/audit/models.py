"""Table: the audit log."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from edge_server.db.base import ID_LENGTH, Base, UtcDateTime, growing_id_type, json_type


class AuditRow(Base):
    """One action of an operator. Names are copied: the log must not change when things are renamed or deleted."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(growing_id_type(), primary_key=True)
    time: Mapped[datetime] = mapped_column(UtcDateTime)
    principal_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    principal_name: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64), index=True)
    subject_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    subject_name: Mapped[str] = mapped_column(String(128))
    cluster: Mapped[str] = mapped_column(String(24))
    details: Mapped[dict[str, str]] = mapped_column(json_type())
    request_id: Mapped[str] = mapped_column(String(128))
    peer: Mapped[str] = mapped_column(String(128))
