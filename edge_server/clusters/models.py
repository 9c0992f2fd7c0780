"""Table: clusters."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from edge_server.db.base import ID_LENGTH, Base, UtcDateTime


class ClusterRow(Base):
    """A group of nodes that trust each other."""

    __tablename__ = "clusters"

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    name: Mapped[str] = mapped_column(String(24), unique=True)
    node_limit: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
