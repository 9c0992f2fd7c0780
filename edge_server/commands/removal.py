"""SQL of removing commands: first they are hidden, then their rows go in batches that hold a lock only for a moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, exists, func, select, text, update
from sqlalchemy.orm import Session

from edge_server.commands.models import CommandRow, ExecutionRow
from edge_server.commands.repository import KEPT

_ADVISORY_LOCK = 0x65646772  # "edgr": any number that nobody else on this database takes


def hide(tx: Session, command_ids: Sequence[str], now: datetime) -> int:
    """From now on nobody sees these commands, and their request ids are free; open ones stay. Returns how many."""
    changed: Any = tx.execute(
        update(CommandRow)
        .where(CommandRow.id.in_(command_ids), CommandRow.finished_at.is_not(None), KEPT)
        .values(removed_at=now, request_id=CommandRow.id, spec=b"", secrets=None)
        .execution_options(synchronize_session=False)
    )
    return int(changed.rowcount)


def list_finished_before(tx: Session, moment: datetime, limit: int) -> Sequence[str]:
    """The oldest commands that were over before this moment."""
    query = (
        select(CommandRow.id)
        .where(CommandRow.created_at < moment, CommandRow.finished_at < moment, KEPT)
        .order_by(CommandRow.created_at, CommandRow.id)
        .limit(limit)
    )
    return tx.scalars(query).all()


def count_executions(tx: Session) -> int:
    """All that are stored, hidden ones too."""
    return tx.scalar(select(func.count()).select_from(ExecutionRow)) or 0


def count_hidden(tx: Session) -> int:
    """Executions of hidden commands."""
    query = select(func.count()).select_from(ExecutionRow).join(CommandRow).where(~KEPT)
    return tx.scalar(query) or 0


def list_oldest_finished(tx: Session, limit: int) -> Sequence[tuple[str, int]]:
    """(command id, number of executions) of the oldest commands that are over."""
    oldest = (
        select(CommandRow.id, CommandRow.created_at)
        .where(CommandRow.finished_at.is_not(None), KEPT)
        .order_by(CommandRow.created_at, CommandRow.id)
        .limit(limit)
        .subquery()
    )
    query = (
        select(oldest.c.id, func.count())
        .join(ExecutionRow, ExecutionRow.command_id == oldest.c.id)
        .group_by(oldest.c.id, oldest.c.created_at)
        .order_by(oldest.c.created_at, oldest.c.id)
    )
    return [(command_id, count) for command_id, count in tx.execute(query)]


def remove_some(tx: Session, limit: int) -> int:
    """Remove at most so many rows of hidden commands; returns how many. 0 when another admin is at it."""
    if tx.get_bind().dialect.name == "postgresql":
        is_alone = tx.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        if not is_alone:
            return 0
    commands = tx.scalars(select(CommandRow.id).where(~KEPT).limit(limit)).all()
    executions = tx.scalars(select(ExecutionRow.id).where(ExecutionRow.command_id.in_(commands)).limit(limit)).all()
    tx.execute(delete(ExecutionRow).where(ExecutionRow.id.in_(executions)))
    has_executions = exists().where(ExecutionRow.command_id == CommandRow.id)
    tx.execute(
        delete(CommandRow)
        .where(CommandRow.id.in_(commands), ~has_executions)
        .execution_options(synchronize_session=False)
    )
    return max(len(commands), len(executions))
