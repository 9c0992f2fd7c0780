"""Checks that old commands go by age and by number, a little at a time, and that nothing else does."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Engine, event, func, select, text, update
from sqlalchemy.orm import Session

from edge_server.commands import removal, repository, retention, storing
from edge_server.commands.models import CommandRow, ExecutionRow, OutputRow
from edge_server.commands.retention import Keep, Retention, next_batch
from edge_server.commands.transition import StoredOutput
from edge_server.db.database import Database
from tests.edge_server.command_rows import add_command, reported
from tests.edge_server.fleet import NOON, WallClock

DAY = timedelta(days=1)
EVERYTHING = Keep(age=None, executions=None)


def add_over(tx: Session, command_id: str, *, days_ago: float, nodes: int = 1) -> None:
    """A command that was over so many days before noon, with output."""
    moment = NOON - days_ago * DAY
    add_command(tx, command_id, *["oslo"] * nodes, created_at=moment)
    output = StoredOutput(stream="stdout", head=b"hello", tail=b"", tail_offset=0)
    ends = [reported(f"{command_id}-{place}")._replace(outputs=[output]) for place in range(nodes)]
    storing.apply(tx, ends, moment)


def retention_of(db: Database, keep: Keep) -> Retention:
    now = WallClock()
    now.time = NOON
    return Retention(db=db, keep=keep, now=now, clock=lambda: 0.0)


async def visible(db: Database) -> list[str]:
    rows = await db.read(lambda tx: repository.list_page(tx, scope=None, before=None, limit=100))
    return sorted(row.id for row in rows)


async def count_rows(db: Database) -> tuple[int, int, int]:
    """Commands, executions, outputs."""

    def work(tx: Session) -> tuple[int, int, int]:
        counts = [tx.scalar(select(func.count()).select_from(it)) or 0 for it in (CommandRow, ExecutionRow, OutputRow)]
        return counts[0], counts[1], counts[2]

    return await db.read(work)


async def test_what_is_over_for_longer_than_is_kept_goes_with_its_rows(db: Database) -> None:
    for days in (1, 29, 31, 60):
        await db.write(partial(add_over, command_id=f"c{days}", days_ago=days, nodes=2))
    kept = retention_of(db, Keep(age=30 * DAY, executions=None))
    await kept.hide_old()
    assert await visible(db) == ["c1", "c29"]
    await kept.remove_hidden()
    assert await count_rows(db) == (2, 4, 4)


async def test_what_goes_on_stays_however_old_it_is(db: Database) -> None:
    await db.write(lambda tx: add_command(tx, "old", "oslo", created_at=NOON - 400 * DAY))
    await db.write(lambda tx: add_over(tx, "late", days_ago=1))
    await db.write(lambda tx: tx.execute(text("UPDATE commands SET created_at = '2020-01-01 00:00:00+00:00'")))
    kept = retention_of(db, Keep(age=30 * DAY, executions=1))
    await kept.hide_old()
    await kept.remove_hidden()
    assert "old" in await visible(db)
    assert await count_rows(db) == (1, 1, 0)


async def test_a_command_that_was_over_yesterday_is_not_old_although_it_was_made_long_ago(db: Database) -> None:
    await db.write(lambda tx: add_over(tx, "slow", days_ago=1))
    made = NOON - 90 * DAY
    await db.write(lambda tx: tx.execute(update(CommandRow).values(created_at=made)))
    await retention_of(db, Keep(age=30 * DAY, executions=None)).hide_old()
    assert await visible(db) == ["slow"]


async def test_of_more_than_is_kept_the_oldest_go_and_no_more_than_needed(db: Database) -> None:
    for days in (5, 4, 3, 2):
        await db.write(partial(add_over, command_id=f"c{days}", days_ago=days, nodes=3))
    kept = retention_of(db, Keep(age=None, executions=7))
    await kept.hide_old()
    assert await visible(db) == ["c2", "c3"]
    await kept.hide_old()
    assert await visible(db) == ["c2", "c3"]


async def test_without_bounds_everything_stays(db: Database) -> None:
    await db.write(lambda tx: add_over(tx, "c1", days_ago=10_000))
    kept = retention_of(db, EVERYTHING)
    await kept.hide_old()
    await kept.remove_hidden()
    assert await visible(db) == ["c1"]


async def test_what_is_hidden_is_found_by_nobody_and_its_request_id_is_free(db: Database) -> None:
    await db.write(lambda tx: add_over(tx, "c1", days_ago=1))
    assert await db.write(lambda tx: removal.hide(tx, ["c1"], NOON)) == 1
    assert await db.read(lambda tx: repository.find(tx, "c1")) is None
    assert await db.read(lambda tx: repository.find_by_prefix(tx, "c", None)) == []
    assert await db.read(lambda tx: repository.find_by_request(tx, "id-of-alice", "request of c1")) is None
    assert await db.write(lambda tx: removal.hide(tx, ["c1"], NOON)) == 0


async def test_a_large_command_goes_in_small_batches(
    db: Database, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await db.write(lambda tx: add_over(tx, "large", days_ago=40, nodes=95))
    kept = retention_of(db, Keep(age=30 * DAY, executions=None))
    await kept.hide_old()
    monkeypatch.setattr(retention, "_SMALLEST_BATCH", 20)
    monkeypatch.setattr(retention, "_LARGEST_BATCH", 20)
    monkeypatch.setattr(kept, "_batch", 20)
    deleted: list[int] = []

    def note(*arguments: object) -> None:
        if str(arguments[2]).startswith("DELETE FROM executions"):
            deleted.append(int(arguments[1].rowcount))  # type: ignore[attr-defined]  # the cursor

    event.listen(engine, "after_cursor_execute", note)
    await kept.remove_hidden()
    event.remove(engine, "after_cursor_execute", note)
    assert sum(deleted) == 95
    assert max(deleted) <= 20
    assert await count_rows(db) == (0, 0, 0)


@pytest.mark.postgres
async def test_of_several_admins_one_removes_at_a_time(db: Database) -> None:
    await db.write(lambda tx: add_over(tx, "c1", days_ago=1))
    await db.write(lambda tx: removal.hide(tx, ["c1"], NOON))

    def both(tx: Session) -> tuple[int, int]:
        mine = removal.remove_some(tx, 10)
        with Session(tx.get_bind()) as other:
            return mine, removal.remove_some(other, 10)

    assert await db.write(both) == (1, 0)


def test_a_batch_is_as_large_as_its_time_allows() -> None:
    assert next_batch(100, 0.008) == 100
    assert next_batch(200, 0.02) == 80
    assert next_batch(50, 0.001) == 100
    assert next_batch(400, 0.0) == 400
    assert next_batch(50, 5.0) == 25
