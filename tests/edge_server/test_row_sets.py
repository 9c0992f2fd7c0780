"""Rows that travel as one parameter arrive as the types of their columns would have brought them, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import create_engine, event, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from edge_server.commands.domain import Outcome, State
from edge_server.commands.models import ExecutionRow, OutputRow
from edge_server.db import row_sets
from edge_server.db.database import Database
from edge_server.db.tables import metadata
from tests.edge_server.command_rows import add_command
from tests.edge_server.fleet import NOON

TABLE: Any = ExecutionRow.__table__
VALUES: dict[str, Any] = {
    "state": State.ENDED,
    "outcome": Outcome.FAILED,
    "queued_at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    "sent_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))),
    "sent_epoch": 2**62,
    "started": False,
    "exit_code": -1,
    "signal": "",
    "duration_ms": 0,
    "stdout_bytes": 2**53 + 1,
    "truncated": True,
    "output_held_open": False,
    "error_message": "ünïcode 🚀 \"quoted\" 'and' \\ $[0]\n\tNULL null",
    "ended_at": None,
}


@pytest.fixture
async def stored(db: Database) -> Database:
    await db.write(lambda tx: add_command(tx, "c1", "oslo", "oslo", "bergen"))
    return db


async def change(db: Database, names: list[str], *rows: tuple[Any, ...]) -> int:
    """Set these columns of executions; each row begins with an id."""

    def work(tx: Session) -> int:
        dialect = tx.get_bind().dialect
        source = row_sets.columns_of(dialect.name, {"id": TABLE.c.id} | {name: TABLE.c[name] for name in names})
        statement = update(TABLE).where(TABLE.c.id == source["id"]).values({name: source[name] for name in names})
        return int(tx.connection().execute(statement, row_sets.pack(dialect.name, rows)).rowcount)

    return await db.write(work)


async def read(db: Database, execution_id: str) -> ExecutionRow:
    return await db.read(lambda tx: tx.scalars(select(ExecutionRow).where(ExecutionRow.id == execution_id)).one())


async def test_every_type_arrives_as_it_was(stored: Database) -> None:
    assert await change(stored, list(VALUES), ("c1-1", *VALUES.values())) == 1
    row = await read(stored, "c1-1")
    assert {name: getattr(row, name) for name in VALUES} == VALUES
    assert (await read(stored, "c1-0")).state is State.PENDING


async def test_what_is_stored_is_what_a_bound_value_would_have_been(stored: Database) -> None:
    """Otherwise it would not be found by comparing with one."""
    await change(stored, ["sent_at", "truncated", "state"], ("c1-1", NOON, True, State.SENT))
    found = select(ExecutionRow.id).where(
        ExecutionRow.sent_at == NOON, ExecutionRow.truncated.is_(True), ExecutionRow.state == State.SENT
    )
    assert await stored.read(lambda tx: tx.scalars(found).all()) == ["c1-1"]


async def test_many_rows_each_get_their_own_and_none_beside_them(stored: Database) -> None:
    assert await change(stored, ["exit_code"], ("c1-0", 1), ("c1-2", 2), ("nobody", 3)) == 2
    assert [(await read(stored, f"c1-{place}")).exit_code for place in range(3)] == [1, None, 2]
    assert await change(stored, ["exit_code"]) == 0


async def test_thousands_of_rows_are_one_statement(db: Database) -> None:
    await db.write(lambda tx: add_command(tx, "c2", *(["oslo"] * 2500)))
    rows = [(f"c2-{place}", place) for place in range(2500)]
    assert await change(db, ["exit_code"], *rows) == 2500
    assert (await read(db, "c2-2499")).exit_code == 2499


async def test_what_the_table_refuses_is_refused(stored: Database) -> None:
    with pytest.raises((IntegrityError, DBAPIError)):
        await change(stored, ["state"], ("c1-0", "asleep"))
    assert (await read(stored, "c1-0")).state is State.PENDING


@pytest.mark.parametrize("value", [b"bytes", datetime(2026, 1, 1), object()])  # noqa: DTZ001  # that is the point
async def test_what_json_cannot_carry_is_an_error(stored: Database, value: object) -> None:
    with pytest.raises(TypeError):
        await change(stored, ["sent_at"], ("c1-0", value))


def test_bytes_have_no_place_in_a_row_set(db: Database) -> None:
    table: Any = OutputRow.__table__
    with pytest.raises(TypeError):
        row_sets.columns_of(row_sets.SQLITE, {"head": table.c.head})


def test_sqlite_looks_the_rows_up_by_their_key() -> None:
    """Going through the table for each batch would cost more than all else."""
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    source = row_sets.columns_of(row_sets.SQLITE, {"id": TABLE.c.id, "exit_code": TABLE.c.exit_code})
    statement = update(TABLE).where(TABLE.c.id == source["id"], TABLE.c.state.in_(["sent", "running"]))
    asked: list[tuple[str, Any]] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _cursor, text, values, *_: asked.append((text, values)))
    with engine.connect() as connection:
        connection.execute(statement.values(exit_code=source["exit_code"]), row_sets.pack(row_sets.SQLITE, []))
        text, values = asked[0]
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).scalars(3).all()
    assert any(step.startswith("SEARCH executions USING") for step in plan), plan
