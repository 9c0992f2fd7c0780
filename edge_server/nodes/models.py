"""Tables: nodes, their aliases and labels."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from edge_server.db.base import ID_LENGTH, Base, UtcDateTime, growing_id_type, json_type


class NodeRow(Base):
    """One enrolled agent installation."""

    __tablename__ = "nodes"
    __table_args__ = (Index("ix_nodes_name_id", "name", "id"),)

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    cluster_id: Mapped[str] = mapped_column(ForeignKey("clusters.id", ondelete="RESTRICT"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    """First alias, else `node-{id}`; kept here so that lists sort and page in the database."""
    key_fingerprint: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    certificate: Mapped[bytes] = mapped_column(LargeBinary)
    facts: Mapped[dict[str, Any]] = mapped_column(json_type())
    agent_version: Mapped[str] = mapped_column(String(64))
    enrolled_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    clock_skew_ms: Mapped[int] = mapped_column(BigInteger, default=0)
    session_epoch: Mapped[int] = mapped_column(BigInteger, default=0)
    session_admin_id: Mapped[str | None] = mapped_column(String(ID_LENGTH), index=True)
    """Which run of which admin holds the session; None when nobody does."""
    session_instance_id: Mapped[str | None] = mapped_column(String(ID_LENGTH))
    """The agent start that had the last session."""
    superseded_instances: Mapped[list[str]] = mapped_column(json_type(), default=list)
    """Agent starts that were replaced, newest last: one that comes back is a clone."""
    conflict_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When a second machine last claimed this identity."""


class AliasRow(Base):
    """One name of a node, unique in its cluster."""

    __tablename__ = "aliases"
    __table_args__ = (UniqueConstraint("cluster_id", "name"), Index("ix_aliases_name", "name"))

    id: Mapped[int] = mapped_column(growing_id_type(), primary_key=True)
    node_id: Mapped[str] = mapped_column(ForeignKey("nodes.id", ondelete="CASCADE"), index=True)
    cluster_id: Mapped[str] = mapped_column(ForeignKey("clusters.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(63))


class LabelRow(Base):
    """One label of a node."""

    __tablename__ = "node_labels"
    __table_args__ = (Index("ix_node_labels_name_value", "name", "value"),)

    node_id: Mapped[str] = mapped_column(ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    value: Mapped[str] = mapped_column(String(128))
