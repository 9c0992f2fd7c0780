"""Writing transitions: each is one guarded UPDATE, many share a transaction, and who asked learns what is stored now.

What the database says afterwards counts: a transition whose guard refused it changed nothing, because another admin, an
operator or the deletion of a node was first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, insert, or_, select, true, update
from sqlalchemy.orm import Session

from edge_server.commands import repository
from edge_server.commands.domain import CORRECTABLE, Event, ExecutionId, Outcome, State, sources
from edge_server.commands.models import ExecutionRow, OutputRow
from edge_server.commands.output import pack
from edge_server.commands.transition import Transition


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Where an execution stands in the database after a transition of it was written."""

    state: State | None
    """None when its row is gone: the command was deleted."""
    other_end: ExecutionRow | None = None
    """How it ended, when that is not what the transition said."""


_Standing = Mapping[str, tuple[State, Outcome | None, datetime | None]]


def apply(tx: Session, transitions: Sequence[Transition], now: datetime) -> dict[ExecutionId, Stored]:
    """Write a batch of transitions; returns where each of their executions stands now."""
    packed = _pack_outputs(transitions)  # before the first statement: it takes time and holds no lock
    groups: dict[tuple[Event, bool, tuple[str, ...]], list[Transition]] = defaultdict(list)
    for transition in transitions:
        groups[transition.event, transition.node_id is not None, tuple(sorted(transition.values))].append(transition)
    # One execution's own events come in this order, so the order of groups keeps it.
    for event, is_of_node, names in sorted(groups, key=lambda key: list(Event).index(key[0])):
        _apply_group(tx, names, groups[event, is_of_node, names])
    ids = list(dict.fromkeys(transition.execution_id for transition in transitions))
    standing = _read_standing(tx, ids)
    own = {item.execution_id for item in transitions if _is_stored_end(item, standing)}
    _insert_outputs(tx, [row for row in packed if row["execution_id"] in own])
    ended = {transition.command_id for transition in transitions if transition.target is State.ENDED}
    repository.finish(tx, ended, now)
    others = [name for name in ids if name in standing and standing[name][0] is State.ENDED and name not in own]
    other_ends = {row.id: row for row in repository.find_executions(tx, others)}
    return {
        name: Stored(state=standing[name][0] if name in standing else None, other_end=other_ends.get(name))
        for name in ids
    }


def _is_stored_end(transition: Transition, standing: _Standing) -> bool:
    state, outcome, ended_at = standing.get(transition.execution_id, (None, None, None))
    return state is State.ENDED and transition.is_end(outcome, ended_at)


def _guard(table: Any, event: Event) -> ColumnElement[bool]:
    # Not IN: its parameters expand, and many rows at once take no expanding parameters.
    guard: ColumnElement[bool] = or_(*(table.c.state == state for state in sources(event)))
    if event is Event.CORRECT:
        guard = and_(guard, or_(*(table.c.outcome == outcome for outcome in CORRECTABLE)))
    return guard


def _apply_group(tx: Session, names: Sequence[str], group: Sequence[Transition]) -> None:
    table: Any = ExecutionRow.__table__
    is_of_node = group[0].node_id is not None
    of_node = table.c.node_id == bindparam("guarded_node_id") if is_of_node else true()
    statement = (
        update(table)
        .where(table.c.id == bindparam("guarded_id"), of_node, _guard(table, group[0].event))
        .values(state=group[0].target, **{name: bindparam(f"new_{name}") for name in names})
    )
    rows: list[dict[str, Any]] = [
        {"guarded_id": item.execution_id, **{f"new_{name}": item.values[name] for name in names}} for item in group
    ]
    if is_of_node:
        rows = [{**row, "guarded_node_id": item.node_id} for row, item in zip(rows, group, strict=True)]
    tx.connection().execute(statement, rows)


def _read_standing(tx: Session, ids: Sequence[str]) -> _Standing:
    standing: dict[str, tuple[State, Outcome | None, datetime | None]] = {}
    query = select(ExecutionRow.id, ExecutionRow.state, ExecutionRow.outcome, ExecutionRow.ended_at)
    for chunk in repository.chunks(ids):
        for execution_id, state, outcome, ended_at in tx.execute(query.where(ExecutionRow.id.in_(chunk))):
            standing[execution_id] = (state, outcome, ended_at)
    return standing


def _pack_outputs(transitions: Sequence[Transition]) -> list[dict[str, Any]]:
    outputs = {(item.execution_id, output.stream): output for item in transitions for output in item.outputs}
    rows: list[dict[str, Any]] = []
    for (execution_id, stream), output in outputs.items():
        codec, head, tail = pack(output.head, output.tail)
        rows.append(
            {
                "execution_id": execution_id,
                "stream": stream,
                "codec": codec,
                "head": head,
                "tail": tail,
                "tail_offset": output.tail_offset,
            }
        )
    return rows


def _insert_outputs(tx: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Once: a batch is written again when its commit may have been lost."""
    if not rows:
        return
    ids = sorted({row["execution_id"] for row in rows})
    there = {(row.execution_id, row.stream) for row in repository.list_outputs(tx, ids)}
    fresh = [row for row in rows if (row["execution_id"], row["stream"]) not in there]
    if fresh:
        tx.execute(insert(OutputRow), fresh)
