"""Tables: the installation with its CA, and which programs may use the database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from edge_server.db.base import ID_LENGTH, Base, UtcDateTime


class InstallationRow(Base):
    """The one installation; the first admin to start inserts it, everyone else reads it."""

    __tablename__ = "installation"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    installation_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    ca_certificate: Mapped[bytes] = mapped_column(LargeBinary)
    ca_key_encrypted: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class CompatibilityRow(Base):
    """The oldest program generation that may use this database; written by migrations."""

    __tablename__ = "compatibility"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    oldest_generation: Mapped[int]
