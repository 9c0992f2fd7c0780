"""Checks transactions on both databases: whole or not at all, side by side, and through an outage."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import Session

from edge_server.clusters.models import ClusterRow
from edge_server.db.database import Database
from edge_server.db.engine import make_engine
from edge_server.db.migrate import migrate
from edge_wire.errors import DatabaseUnavailable
from tests.edge_server.fleet import NOON, add_cluster
from tests.support.postgres import PostgresServer


def cluster_names(tx: Session) -> list[str]:
    return list(tx.scalars(select(ClusterRow.name).order_by(ClusterRow.name)))


async def test_a_write_is_there_for_the_next_read(db: Database) -> None:
    assert await db.write(lambda tx: add_cluster(tx, "oslo")) == "id-of-oslo"
    assert await db.read(cluster_names) == ["oslo"]


async def test_a_write_that_fails_leaves_nothing(db: Database) -> None:
    def work(tx: Session) -> None:
        add_cluster(tx, "oslo")
        add_cluster(tx, "bergen")
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        await db.write(work)
    assert await db.read(cluster_names) == []


async def test_rows_may_be_read_after_their_transaction(db: Database) -> None:
    await db.write(lambda tx: add_cluster(tx, "oslo"))
    row = await db.read(lambda tx: tx.scalars(select(ClusterRow)).one())
    assert (row.name, row.created_at) == ("oslo", NOON)


async def test_writes_that_read_first_do_not_lose_each_other(db: Database) -> None:
    await db.write(lambda tx: add_cluster(tx, "oslo", node_limit=0))

    def raise_limit(tx: Session) -> None:
        row = tx.scalars(select(ClusterRow).with_for_update()).one()
        row.node_limit = (row.node_limit or 0) + 1

    await asyncio.gather(*(db.write(raise_limit) for _ in range(20)))
    assert await db.read(lambda tx: tx.scalar(select(ClusterRow.node_limit))) == 20


async def test_a_foreign_key_that_points_nowhere_is_refused(db: Database) -> None:
    statement = "INSERT INTO principal_clusters (principal_id, cluster_id) VALUES ('nobody', 'nowhere')"
    with pytest.raises(IntegrityError):
        await db.write(lambda tx: tx.execute(text(statement)))


async def test_times_come_back_aware_and_in_utc_whatever_zone_they_were_given_in(db: Database) -> None:
    in_oslo = datetime(2026, 3, 1, 13, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
    await db.write(lambda tx: add_cluster(tx, "oslo"))
    await db.write(lambda tx: tx.execute(update(ClusterRow).values(created_at=in_oslo)))
    read = await db.read(lambda tx: tx.scalars(select(ClusterRow.created_at)).one())
    assert read.isoformat() == "2026-03-01T12:00:00.123456+00:00"


async def test_times_compare_in_the_database_as_they_do_in_python(db: Database) -> None:
    await db.write(lambda tx: add_cluster(tx, "oslo"))
    in_oslo = (NOON + timedelta(microseconds=1)).astimezone(timezone(timedelta(hours=1)))
    query = select(func.count()).select_from(ClusterRow)
    assert await db.read(lambda tx: tx.scalar(query.where(ClusterRow.created_at < in_oslo))) == 1
    assert await db.read(lambda tx: tx.scalar(query.where(ClusterRow.created_at < NOON))) == 0


async def test_a_naive_time_is_refused(db: Database) -> None:
    naive = NOON.replace(tzinfo=None)
    await db.write(lambda tx: add_cluster(tx, "oslo"))
    with pytest.raises(StatementError, match="naive datetime"):
        await db.write(lambda tx: tx.execute(update(ClusterRow).values(created_at=naive)))


def test_sqlite_is_opened_so_that_a_power_cut_loses_nothing(tmp_path: Path) -> None:
    engine = make_engine(URL.create("sqlite", database=str(tmp_path / "edge-server.db")), pool_size=1)
    names = ("journal_mode", "synchronous", "foreign_keys")
    with engine.connect() as connection:
        pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
    assert pragmas == ["wal", 2, 1]
    engine.dispose()


@pytest.mark.postgres
async def test_an_outage_is_an_error_of_its_own_and_is_over_when_it_is_over(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    engine = make_engine(make_url(postgres_database), pool_size=2)
    migrate(engine)
    db = Database(engine, threads=2)
    await db.write(lambda tx: add_cluster(tx, "oslo"))
    postgres_server.stop()
    with pytest.raises(DatabaseUnavailable, match="the admin's database is down"):
        await db.read(cluster_names)
    postgres_server.start()
    assert await db.read(cluster_names) == ["oslo"]
    db.close()


@pytest.mark.postgres
async def test_a_connection_that_breaks_within_a_transaction_undoes_it(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    engine = make_engine(make_url(postgres_database), pool_size=2)
    migrate(engine)
    db = Database(engine, threads=2)

    def work(tx: Session) -> None:
        add_cluster(tx, "oslo")
        postgres_server.stop()

    with pytest.raises(DatabaseUnavailable):
        await db.write(work)
    postgres_server.start()
    assert await db.read(cluster_names) == []
    db.close()
