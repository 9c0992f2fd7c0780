"""Table: enrollment keys."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from edge_server.db.base import ID_LENGTH, Base, UtcDateTime, json_type


class EnrollmentKeyRow(Base):
    """Lets one or more new agents join one cluster. Only a hash of the secret is kept."""

    __tablename__ = "enrollment_keys"
    __table_args__ = (CheckConstraint("uses_left >= 0", name="uses_left"),)

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    cluster_id: Mapped[str] = mapped_column(ForeignKey("clusters.id", ondelete="CASCADE"), index=True)
    nonce_hash: Mapped[bytes] = mapped_column(LargeBinary)
    uses_left: Mapped[int | None]
    labels: Mapped[dict[str, str]] = mapped_column(json_type())
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
