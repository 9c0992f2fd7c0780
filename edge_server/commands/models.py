"""Tables: commands, executions and the output that is kept of them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from edge_server.commands.domain import Outcome, State
from edge_server.db.base import ID_LENGTH, Base, UtcDateTime, enum_type


class CommandRow(Base):
    """What was asked, once."""

    __tablename__ = "commands"
    __table_args__ = (
        UniqueConstraint("principal_id", "request_id"),
        Index("ix_commands_created_at_id", "created_at", "id"),
        Index(
            "ix_commands_removed_at",
            "removed_at",
            sqlite_where=text("removed_at IS NOT NULL"),
            postgresql_where=text("removed_at IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    principal_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    principal_name: Mapped[str] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(128))
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of what was asked, without values of variables: the same request id again must ask the same."""
    spec: Mapped[bytes] = mapped_column(LargeBinary)
    """A serialised CommandSpec: stored as it was asked, so nothing is lost when the contract grows; without values of
    environment variables."""
    secrets: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The environment with its values, encrypted; wiped when the command is over."""
    admin_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    """The admin run that paces it; another one takes over when that is dead."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    cancelled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    removed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """From then on nobody sees it; its rows go in small batches."""


class ExecutionRow(Base):
    """One command on one node. Node and cluster are copied: they may be renamed, moved or deleted later."""

    __tablename__ = "executions"
    __table_args__ = (
        Index("ix_executions_command_id_position", "command_id", "position"),
        Index(
            "ix_executions_open_node_id",
            "node_id",
            sqlite_where=text("state <> 'ended'"),
            postgresql_where=text("state <> 'ended'"),
        ),
    )

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    command_id: Mapped[str] = mapped_column(ForeignKey("commands.id", ondelete="CASCADE"))
    position: Mapped[int]
    """Place in the frozen set."""
    node_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    node_name: Mapped[str] = mapped_column(String(80))
    cluster_id: Mapped[str] = mapped_column(String(ID_LENGTH))
    cluster_name: Mapped[str] = mapped_column(String(24))
    state: Mapped[State] = mapped_column(enum_type(State))
    outcome: Mapped[Outcome | None] = mapped_column(enum_type(Outcome))
    queued_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When its turn came while its node was offline and it was told to wait."""
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    sent_epoch: Mapped[int | None] = mapped_column(BigInteger)
    """Epoch of the session to which it was handed out last."""
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    corrected_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When late evidence replaced the outcome `lost`."""
    started: Mapped[bool | None]
    """Whether a process was started; None when that is not known."""
    exit_code: Mapped[int | None]
    signal: Mapped[str] = mapped_column(String(32), default="")
    duration_ms: Mapped[int | None] = mapped_column(BigInteger)
    stdout_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    stderr_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    truncated: Mapped[bool] = mapped_column(default=False)
    output_held_open: Mapped[bool] = mapped_column(default=False)
    error_code: Mapped[str] = mapped_column(String(64), default="")
    error_message: Mapped[str] = mapped_column(Text, default="")


class OutputRow(Base):
    """What is kept of one output stream of one execution: its head and, when that is not all, its tail."""

    __tablename__ = "execution_outputs"

    execution_id: Mapped[str] = mapped_column(ForeignKey("executions.id", ondelete="CASCADE"), primary_key=True)
    stream: Mapped[str] = mapped_column(String(8), primary_key=True)
    codec: Mapped[str] = mapped_column(String(8), server_default=text("''"))
    """How head and tail are packed: a word of Codec."""
    head: Mapped[bytes] = mapped_column(LargeBinary)
    tail: Mapped[bytes] = mapped_column(LargeBinary)
    tail_offset: Mapped[int] = mapped_column(BigInteger)
