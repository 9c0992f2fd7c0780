"""Writing transitions: guarded UPDATEs, many in one statement and transaction; who asked learns what is stored now.

What the database says afterwards counts: a transition whose guard refused it changed nothing, because another admin, an
operator or the deletion of a node was first. It is asked only when an UPDATE changed fewer rows than it named.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Update, and_, func, insert, select, update
from sqlalchemy.orm import Session

from edge_server.commands import archive, repository
from edge_server.commands.domain import CORRECTABLE, Event, ExecutionId, Outcome, State, sources
from edge_server.commands.models import ExecutionRow, OutputRow
from edge_server.commands.output import pack
from edge_server.commands.run import LiveExecution
from edge_server.commands.transition import Transition
from edge_server.db import row_sets
from edge_server.db.chunks import chunks


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Where an execution stands in the database after a transition of it was written."""

    state: State | None
    """None when its row is gone: the command was deleted."""
    sent_epoch: int | None = None
    """Epoch of the session to which it was handed out last; told to whoever handed it out."""
    other_end: LiveExecution | None = None
    """How it ended, when that is not what the transition said."""


class _Standing(NamedTuple):
    state: State
    outcome: Outcome | None
    ended_at: datetime | None
    sent_epoch: int | None
    """Only of what was handed out, when it was not read but is what the last transition made of it."""


_Standings = Mapping[str, _Standing]


def apply(tx: Session, transitions: Sequence[Transition], now: datetime) -> dict[ExecutionId, Stored]:
    """Write a batch of transitions; returns where each of their executions stands now."""
    packed = _pack_outputs(transitions)  # before the first statement: it takes time and holds no lock
    groups: dict[tuple[Event, tuple[str, ...], tuple[str, ...]], list[Transition]] = defaultdict(list)
    for transition in _fold_starts(transitions):
        groups[transition.event, tuple(sorted(transition.only_if)), tuple(sorted(transition.values))].append(transition)
    standing: dict[str, _Standing] = {}
    refused: set[str] = set()
    # One execution's own events come in this order, so the order of groups keeps it.
    for event, guards, names in sorted(groups, key=lambda key: list(Event).index(key[0])):
        group = groups[event, guards, names]
        if _apply_group(tx, group, guards=guards, names=names) == len(group):
            standing |= {item.execution_id: _standing_after(item) for item in group}
        else:
            refused |= {item.execution_id for item in group}
    standing = {name: found for name, found in standing.items() if name not in refused}
    standing |= _read_standing(tx, list(refused))
    ids = list(dict.fromkeys(transition.execution_id for transition in transitions))
    own = {item.execution_id for item in transitions if _is_stored_end(item, standing)}
    _insert_outputs(tx, [row for row in packed if row["execution_id"] in own])
    ended = {transition.command_id for transition in transitions if transition.target is State.ENDED}
    repository.finish(tx, ended, now)
    others = [name for name in ids if name in standing and standing[name].state is State.ENDED and name not in own]
    other_ends = archive.load_executions(tx, others)
    return {name: _stored(standing.get(name), other_ends.get(name)) for name in ids}


def _fold_starts(transitions: Sequence[Transition]) -> list[Transition]:
    """Start and end of a short process as one UPDATE: whatever an end may follow, its start may be in between."""
    starts = {item.execution_id: item for item in transitions if item.event is Event.START}
    ended = {item.execution_id for item in transitions if item.event is Event.REPORT} & starts.keys()
    if not ended:
        return list(transitions)
    return [
        item if item.event is not Event.REPORT or item.execution_id not in ended else _with(item, starts)
        for item in transitions
        if item.event is not Event.START or item.execution_id not in ended
    ]


def _with(end: Transition, starts: Mapping[ExecutionId, Transition]) -> Transition:
    return Transition(
        execution_id=end.execution_id,
        command_id=end.command_id,
        event=end.event,
        values={**starts[end.execution_id].values, **end.values},
        outputs=end.outputs,
        only_if=end.only_if,
    )


def _stored(standing: _Standing | None, other_end: LiveExecution | None) -> Stored:
    if standing is None:
        return Stored(state=None)
    return Stored(state=standing.state, sent_epoch=standing.sent_epoch, other_end=other_end)


def _is_stored_end(transition: Transition, standings: _Standings) -> bool:
    found = standings.get(transition.execution_id)
    return found is not None and found.state is State.ENDED and transition.is_end(found.outcome, found.ended_at)


def _guard(table: Any, event: Event) -> ColumnElement[bool]:
    guard: ColumnElement[bool] = table.c.state.in_(sources(event))
    return and_(guard, table.c.outcome.in_(CORRECTABLE)) if event is Event.CORRECT else guard


def _standing_after(last: Transition) -> _Standing:
    values = last.values
    return _Standing(last.target, values.get("outcome"), values.get("ended_at"), values.get("sent_epoch"))


def _apply_group(tx: Session, group: Sequence[Transition], *, guards: Sequence[str], names: Sequence[str]) -> int:
    """One guarded UPDATE for all of them; returns how many rows it changed."""
    dialect = tx.get_bind().dialect.name
    statement = _update_by(dialect, group[0].event, group[0].target, tuple(guards), tuple(names))
    rows = [
        (item.execution_id, *(item.only_if[name] for name in guards), *(item.values[name] for name in names))
        for item in group
    ]
    return int(tx.connection().execute(statement, row_sets.pack(dialect, rows)).rowcount)


@functools.cache
def _update_by(dialect: str, event: Event, target: State, guards: tuple[str, ...], names: tuple[str, ...]) -> Update:
    """There are as many of them as there are kinds of transitions."""
    table: Any = ExecutionRow.__table__
    columns = {"id": table.c.id} | {f"only_if_{name}": table.c[name] for name in guards}
    columns |= {f"new_{name}": table.c[name] for name in names}
    source = row_sets.columns_of(dialect, columns)
    return (
        update(table)
        .where(table.c.id == source["id"], _guard(table, event))
        .where(*(table.c[name] == source[f"only_if_{name}"] for name in guards))
        .values(state=target, **{name: _new_value(table, source, name) for name in names})
    )


def _new_value(table: Any, source: Mapping[str, ColumnElement[Any]], name: str) -> ColumnElement[Any]:
    new = source[f"new_{name}"]
    return func.coalesce(table.c[name], new) if name == "started_at" else new  # the first that was heard of it counts


def _read_standing(tx: Session, ids: Sequence[str]) -> _Standings:
    standings: dict[str, _Standing] = {}
    row = ExecutionRow
    query = select(row.id, row.state, row.outcome, row.ended_at, row.sent_epoch)
    for chunk in chunks(ids):
        for execution_id, state, outcome, ended_at, sent_epoch in tx.execute(query.where(row.id.in_(chunk))):
            standings[execution_id] = _Standing(state, outcome, ended_at, sent_epoch)
    return standings


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
