"""SQL of commands and executions. What happens to executions that are under way is written by `storing`."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Insert,
    Select,
    Update,
    and_,
    bindparam,
    exists,
    false,
    func,
    insert,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Session

from edge_server.commands.domain import Event, FrozenExecution, Outcome, State, dropped_outcome, sources
from edge_server.commands.models import CommandRow, ExecutionRow, OutputRow
from edge_server.commands.pacing import StopReason
from edge_server.db import row_sets
from edge_server.db.chunks import chunks

_OPEN = ExecutionRow.state != State.ENDED
_NOTHING_YET = {
    "signal": literal_column("''"),
    "stdout_bytes": literal_column("0"),
    "stderr_bytes": literal_column("0"),
    "truncated": false(),
    "output_held_open": false(),
    "error_code": literal_column("''"),
    "error_message": literal_column("''"),
}
"""Columns of an execution that is not over."""
_BY_REQUEST = select(CommandRow).where(
    CommandRow.principal_id == bindparam("principal_id"), CommandRow.request_id == bindparam("request_id")
)
"""Put together once: every command asks."""
_COMMANDS: Any = CommandRow.__table__
_EXECUTIONS: Any = ExecutionRow.__table__
_INSERT_COMMAND = insert(_COMMANDS)
KEPT = CommandRow.removed_at.is_(None)
"""Not on its way out."""


def find(tx: Session, command_id: str) -> CommandRow | None:
    """One command by id."""
    return tx.scalar(select(CommandRow).where(CommandRow.id == command_id, KEPT))


def find_by_prefix(tx: Session, prefix: str, scope: Collection[str] | None) -> Sequence[CommandRow]:
    """At most two commands whose id begins so; in a scope only those that reach into it."""
    fits = CommandRow.id.startswith(prefix, autoescape=True)
    return tx.scalars(_reaching(select(CommandRow).where(fits, KEPT).limit(2), scope)).all()


def find_by_request(tx: Session, principal_id: str, request_id: str) -> CommandRow | None:
    """The command that this request made before."""
    return tx.scalar(_BY_REQUEST, {"principal_id": principal_id, "request_id": request_id})


def insert_command(tx: Session, command: CommandRow, executions: Sequence[FrozenExecution]) -> None:
    """Insert a command with its frozen set, of which nothing is over.

    Raises IntegrityError when its request was here already.
    """
    connection = tx.connection()
    connection.execute(_INSERT_COMMAND, {column.name: getattr(command, column.name) for column in _COMMANDS.c})
    dialect = tx.get_bind().dialect.name
    connection.execute(_insert_frozen(dialect), row_sets.pack(dialect, executions))


@functools.cache
def _insert_frozen(dialect: str) -> Insert:
    source = row_sets.columns_of(dialect, {name: _EXECUTIONS.c[name] for name in FrozenExecution._fields})
    return insert(_EXECUTIONS).from_select([*source, *_NOTHING_YET], select(*source.values(), *_NOTHING_YET.values()))


def list_executions(tx: Session, command_id: str, scope: Collection[str] | None = None) -> Sequence[ExecutionRow]:
    """The executions of a command in their frozen order."""
    query = select(ExecutionRow).where(ExecutionRow.command_id == command_id).order_by(ExecutionRow.position)
    if scope is not None:
        query = query.where(ExecutionRow.cluster_id.in_(scope))
    return tx.scalars(query).all()


def list_node_ids(tx: Session, command_id: str, outcomes: Collection[Outcome]) -> Sequence[str]:
    """The nodes of a command, or only those on which it ended in one of these ways."""
    query = select(ExecutionRow.node_id).where(ExecutionRow.command_id == command_id)
    if outcomes:
        query = query.where(ExecutionRow.outcome.in_(outcomes))
    return tx.scalars(query).all()


def list_outputs(tx: Session, execution_ids: Sequence[str]) -> Sequence[OutputRow]:
    """The kept output of these executions."""
    found: list[OutputRow] = []
    for chunk in chunks(execution_ids):
        found += tx.scalars(select(OutputRow).where(OutputRow.execution_id.in_(chunk)))
    return found


def list_page(
    tx: Session, *, scope: Collection[str] | None, before: tuple[datetime, str] | None, limit: int
) -> Sequence[CommandRow]:
    """A page of commands, newest first; in a scope only those that reach into it."""
    query = select(CommandRow).where(KEPT).order_by(CommandRow.created_at.desc(), CommandRow.id.desc()).limit(limit)
    if before is not None:
        query = query.where(tuple_(CommandRow.created_at, CommandRow.id) < before)
    return tx.scalars(_reaching(query, scope)).all()


def count_outcomes(
    tx: Session, command_ids: Sequence[str], scope: Collection[str] | None
) -> dict[str, dict[Outcome | None, int]]:
    """Command id → outcome → number of executions."""
    query = (
        select(ExecutionRow.command_id, ExecutionRow.outcome, func.count())
        .where(ExecutionRow.command_id.in_(command_ids))
        .group_by(ExecutionRow.command_id, ExecutionRow.outcome)
    )
    if scope is not None:
        query = query.where(ExecutionRow.cluster_id.in_(scope))
    counts: dict[str, dict[Outcome | None, int]] = defaultdict(dict)
    for command_id, outcome, count in tx.execute(query):
        counts[command_id][outcome] = count
    return counts


def stop_codes(tx: Session, command_ids: Sequence[str]) -> dict[str, set[str]]:
    """Command id → error codes of its executions that say why it was stopped."""
    query = (
        select(ExecutionRow.command_id, ExecutionRow.error_code)
        .where(ExecutionRow.command_id.in_(command_ids), ExecutionRow.error_code.in_(list(StopReason)))
        .distinct()
    )
    codes: dict[str, set[str]] = defaultdict(set)
    for command_id, code in tx.execute(query):
        codes[command_id].add(code)
    return codes


def list_open_command_ids(tx: Session) -> Sequence[tuple[str, str]]:
    """(command id, admin id) of every command that is not over."""
    rows = tx.execute(select(CommandRow.id, CommandRow.admin_id).where(CommandRow.finished_at.is_(None)))
    return [(command_id, admin_id) for command_id, admin_id in rows]


def list_cancelled(tx: Session, command_ids: Sequence[str]) -> list[str]:
    """Which of these commands were cancelled."""
    found: list[str] = []
    for chunk in chunks(command_ids):
        query = select(CommandRow.id).where(CommandRow.id.in_(chunk), CommandRow.cancelled_at.is_not(None))
        found += tx.scalars(query)
    return found


def list_for_nodes(tx: Session, known: Mapping[str, Collection[str]]) -> dict[str, list[ExecutionRow]]:
    """Node id → its executions that are open here or known there; `known` has the latter of each."""
    found: dict[str, ExecutionRow] = {}
    for chunk in chunks(list(known)):
        query = select(ExecutionRow).where(ExecutionRow.node_id.in_(chunk), _OPEN)
        found |= {row.id: row for row in tx.scalars(query)}
    named = {execution_id for ids in known.values() for execution_id in ids}
    for row in find_executions(tx, sorted(named - found.keys())):
        if row.id in known.get(row.node_id, ()):
            found[row.id] = row
    of_nodes: dict[str, list[ExecutionRow]] = defaultdict(list)
    for row in found.values():
        of_nodes[row.node_id].append(row)
    return of_nodes


def list_waiting(tx: Session, *, not_paced_by: str) -> Sequence[ExecutionRow]:
    """Executions of other admins' commands whose turn came while their nodes were elsewhere, the oldest first."""
    of_others = and_(CommandRow.admin_id != not_paced_by, CommandRow.cancelled_at.is_(None))
    is_waiting = and_(_OPEN, ExecutionRow.state == State.PENDING, ExecutionRow.queued_at.is_not(None))
    query = select(ExecutionRow).join(CommandRow).where(of_others, is_waiting)
    return tx.scalars(query.order_by(CommandRow.created_at, CommandRow.id)).all()


def list_sent(tx: Session, *, before: datetime) -> Sequence[ExecutionRow]:
    """Executions that were handed out before this moment, and of which no node has reported anything yet."""
    is_silent = and_(_OPEN, ExecutionRow.state == State.SENT, ExecutionRow.sent_at < before)
    return tx.scalars(select(ExecutionRow).where(is_silent)).all()


def find_executions(tx: Session, ids: Sequence[str]) -> Sequence[ExecutionRow]:
    """These executions, as far as they are there."""
    found: list[ExecutionRow] = []
    for chunk in chunks(ids):
        found += tx.scalars(select(ExecutionRow).where(ExecutionRow.id.in_(chunk)))
    return found


def take_over(tx: Session, command_id: str, *, old_admin_id: str, new_admin_id: str) -> bool:
    """Become the admin that paces a command; False when somebody else did."""
    changed: Any = tx.execute(
        update(CommandRow)
        .where(CommandRow.id == command_id, CommandRow.admin_id == old_admin_id)
        .values(admin_id=new_admin_id)
    )
    return bool(changed.rowcount == 1)


def mark_cancelled(tx: Session, command: CommandRow, now: datetime) -> None:
    """Record the wish; the first time counts."""
    command.cancelled_at = command.cancelled_at or now


def withhold_pending(tx: Session, command_id: str, now: datetime) -> int:
    """End every execution that was not handed out; returns how many."""
    changed: Any = tx.execute(
        update(ExecutionRow)
        .where(ExecutionRow.command_id == command_id, ExecutionRow.state == State.PENDING)
        .values(
            state=State.ENDED,
            outcome=Outcome.NOT_STARTED,
            started=False,
            ended_at=now,
            error_code=StopReason.CANCELLED.value,
        )
        .execution_options(synchronize_session=False)
    )
    return int(changed.rowcount)


def drop_for_node(tx: Session, node_id: str, now: datetime) -> list[str]:
    """End every open execution of a node that is deleted; returns the ids of their commands."""
    mine = and_(ExecutionRow.node_id == node_id, _OPEN)
    command_ids = tx.scalars(select(ExecutionRow.command_id).where(mine).distinct()).all()
    for state in sources(Event.DROP):
        outcome = dropped_outcome(state)
        started = False if outcome is Outcome.DROPPED else None
        tx.execute(
            update(ExecutionRow)
            .where(mine, ExecutionRow.state == state)
            .values(state=State.ENDED, outcome=outcome, started=started, ended_at=now)
            .execution_options(synchronize_session=False)
        )
    finish(tx, command_ids, now)
    return list(command_ids)


def count_open(tx: Session, command_id: str) -> int:
    """How many executions of a command are under way."""
    query = select(func.count()).select_from(ExecutionRow)
    return tx.scalar(query.where(ExecutionRow.command_id == command_id, _OPEN)) or 0


def finish(tx: Session, command_ids: Iterable[str], now: datetime) -> None:
    """Close every command of these that has nothing open.

    Locked before it is asked what is open: two admins that store its last two ends at the same moment would each see
    the other one's execution open, and nobody would close it.
    """
    lock, close = _close_commands()
    connection = tx.connection()
    for chunk in chunks(sorted(command_ids)):
        connection.execute(lock, {"ids": chunk})
        connection.execute(close, {"ids": chunk, "now": now})


@functools.cache
def _close_commands() -> tuple[Select[Any], Update]:
    """One that locks those of `ids` that are not finished, and one that finishes those that have nothing open."""
    commands, executions = _COMMANDS, _EXECUTIONS
    unfinished = and_(commands.c.id.in_(bindparam("ids", expanding=True)), commands.c.finished_at.is_(None))
    # From the last one on: they end about in their order, and whoever began with the first would look at all of them.
    mine = and_(executions.c.command_id == commands.c.id, executions.c.state != State.ENDED)
    open_ones = select(executions.c.id).where(mine).order_by(executions.c.position.desc()).limit(1)
    still_open = open_ones.correlate(commands).exists()
    lock = select(commands.c.id).where(unfinished).order_by(commands.c.id).with_for_update(key_share=True)
    close = update(commands).where(unfinished, ~still_open).values(finished_at=bindparam("now"), secrets=None)
    return lock, close


def _reaching(query: Select[CommandRow], scope: Collection[str] | None) -> Select[CommandRow]:
    """Only commands with an execution in the scope."""
    if scope is None:
        return query
    reaches = and_(ExecutionRow.command_id == CommandRow.id, ExecutionRow.cluster_id.in_(scope))
    return query.where(exists().where(reaches))
