"""Tables: accounts for SSH, their keys, admissions, host keys and sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from edge_server.db.base import ID_LENGTH, Base, UtcDateTime, json_type

NAME_LENGTH = 64
TEXT_LENGTH = 255


class SshUserRow(Base):
    """An account for SSH."""

    __tablename__ = "ssh_users"

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH), unique=True)
    wanted: Mapped[dict[str, Any]] = mapped_column(json_type())
    """The fields of NodesWanted."""
    local_account: Mapped[str] = mapped_column(String(NAME_LENGTH))
    password_hash: Mapped[str | None] = mapped_column(Text)
    """Argon2id, PHC string."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(String(NAME_LENGTH))
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SshKeyRow(Base):
    """A public key of an account."""

    __tablename__ = "ssh_keys"
    __table_args__ = (UniqueConstraint("user_id", "name"), UniqueConstraint("user_id", "fingerprint"))

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("ssh_users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    public_key: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(String(NAME_LENGTH))
    sources: Mapped[list[str]] = mapped_column(json_type())
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SshAdmissionRow(Base):
    """One key that may log in to one node for a short time."""

    __tablename__ = "ssh_admissions"
    __table_args__ = (Index("ix_ssh_admissions_key", "node_id", "fingerprint"),)

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    node_id: Mapped[str] = mapped_column(ForeignKey("nodes.id", ondelete="CASCADE"))
    user_name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("ssh_users.id", ondelete="CASCADE"), index=True)
    """The account for SSH, unless it is for a local account of the node."""
    local_account: Mapped[str] = mapped_column(String(NAME_LENGTH))
    fingerprint: Mapped[str] = mapped_column(String(NAME_LENGTH))
    principal_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    principal_name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class SshHostRow(Base):
    """The SSH server of a node."""

    __tablename__ = "ssh_hosts"

    node_id: Mapped[str] = mapped_column(ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True)
    host_keys: Mapped[list[str]] = mapped_column(json_type())
    own_account: Mapped[str] = mapped_column(String(NAME_LENGTH))
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SshSessionRow(Base):
    """A connection that logged in. Keeps the node's name: sessions outlive nodes."""

    __tablename__ = "ssh_sessions"
    __table_args__ = (
        Index("ix_ssh_sessions_started", "started_at", "id"),
        Index("ix_ssh_sessions_node", "node_id", "started_at"),
        Index(
            "ix_ssh_sessions_open",
            "node_id",
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    node_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    node_name: Mapped[str] = mapped_column(String(80))
    cluster_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    cluster_name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    principal_name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    address: Mapped[str] = mapped_column(String(NAME_LENGTH))
    user_name: Mapped[str] = mapped_column(String(TEXT_LENGTH))
    local_account: Mapped[str] = mapped_column(String(NAME_LENGTH))
    method: Mapped[str] = mapped_column(String(16))
    fingerprint: Mapped[str] = mapped_column(String(NAME_LENGTH))
    credential_id: Mapped[str] = mapped_column(String(80))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str] = mapped_column(String(32))
    deeds: Mapped[dict[str, Any]] = mapped_column(json_type())
    bytes_received: Mapped[int] = mapped_column(BigInteger)
    bytes_sent: Mapped[int] = mapped_column(BigInteger)
    has_recording: Mapped[bool]
