"""Writing transitions: each is one guarded UPDATE, many share a transaction, and who asked learns what is stored now.

What the database says afterwards counts: a transition whose guard refused it changed nothing, because another admin, an
operator or the deletion of a node was first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, insert, or_, select, update
from sqlalchemy.orm import Session

from edge_server.commands import archive, repository
from edge_server.commands.domain import CORRECTABLE, Event, ExecutionId, Outcome, State, sources
from edge_server.commands.models import ExecutionRow, OutputRow
from edge_server.commands.output import pack
from edge_server.commands.run import LiveExecution
from edge_server.commands.transition import Transition
from edge_server.db.chunks import chunks


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Where an execution stands in the database after a transition of it was written."""

    state: State | None
    """None when its row is gone: the command was deleted."""
    sent_epoch: int | None = None
    """Epoch of the session to which it was handed out last."""
    other_end: LiveExecution | None = None
    """How it ended, when that is not what the transition said."""


class _Standing(NamedTuple):
    state: State
    outcome: Outcome | None
    ended_at: datetime | None
    sent_epoch: int | None


_Standings = Mapping[str, _Standing]


def apply(tx: Session, transitions: Sequence[Transition], now: datetime) -> dict[ExecutionId, Stored]:
    """Write a batch of transitions; returns where each of their executions stands now."""
    packed = _pack_outputs(transitions)  # before the first statement: it takes time and holds no lock
    groups: dict[tuple[Event, tuple[str, ...], tuple[str, ...]], list[Transition]] = defaultdict(list)
    for transition in transitions:
        groups[transition.event, tuple(sorted(transition.only_if)), tuple(sorted(transition.values))].append(transition)
    # One execution's own events come in this order, so the order of groups keeps it.
    for key in sorted(groups, key=lambda key: list(Event).index(key[0])):
        _apply_group(tx, groups[key], guards=key[1], names=key[2])
    ids = list(dict.fromkeys(transition.execution_id for transition in transitions))
    standing = _read_standing(tx, ids)
    own = {item.execution_id for item in transitions if _is_stored_end(item, standing)}
    _insert_outputs(tx, [row for row in packed if row["execution_id"] in own])
    ended = {transition.command_id for transition in transitions if transition.target is State.ENDED}
    repository.finish(tx, ended, now)
    others = [name for name in ids if name in standing and standing[name].state is State.ENDED and name not in own]
    other_ends = archive.load_executions(tx, others)
    return {name: _stored(standing.get(name), other_ends.get(name)) for name in ids}


def _stored(standing: _Standing | None, other_end: LiveExecution | None) -> Stored:
    if standing is None:
        return Stored(state=None)
    return Stored(state=standing.state, sent_epoch=standing.sent_epoch, other_end=other_end)


def _is_stored_end(transition: Transition, standings: _Standings) -> bool:
    found = standings.get(transition.execution_id)
    return found is not None and found.state is State.ENDED and transition.is_end(found.outcome, found.ended_at)


def _guard(table: Any, event: Event) -> ColumnElement[bool]:
    # Not IN: its parameters expand, and many rows at once take no expanding parameters.
    guard: ColumnElement[bool] = or_(*(table.c.state == state for state in sources(event)))
    if event is Event.CORRECT:
        guard = and_(guard, or_(*(table.c.outcome == outcome for outcome in CORRECTABLE)))
    return guard


def _apply_group(tx: Session, group: Sequence[Transition], *, guards: Sequence[str], names: Sequence[str]) -> None:
    table: Any = ExecutionRow.__table__
    statement = (
        update(table)
        .where(table.c.id == bindparam("guarded_id"), _guard(table, group[0].event))
        .where(*(table.c[name] == bindparam(f"guarded_{name}") for name in guards))
        .values(state=group[0].target, **{name: bindparam(f"new_{name}") for name in names})
    )
    rows = [
        {
            "guarded_id": item.execution_id,
            **{f"guarded_{name}": item.only_if[name] for name in guards},
            **{f"new_{name}": item.values[name] for name in names},
        }
        for item in group
    ]
    tx.connection().execute(statement, rows)


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
