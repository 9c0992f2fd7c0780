"""Checks transactions on both databases: whole or not at all, side by side, and through an outage."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, func, select, text, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import Session

from edge_server.clusters.models import ClusterRow
from edge_server.db.database import Database
from edge_server.db.engine import make_engine, make_migration_engine
from edge_server.db.patient_connection import PatientConnection
from edge_wire.errors import DatabaseUnavailable, StorageFull
from tests.edge_server.fleet import NOON, add_cluster
from tests.support.eventually import eventually
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


class Holder:
    """Holds the only thread of a database until it is let go."""

    def __init__(self, db: Database) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()
        self.holding = asyncio.create_task(db.write(self._work))

    def _work(self, tx: Session) -> None:
        self.has_begun.set()
        self.may_end.wait(20)


async def test_a_transaction_that_found_no_thread_in_time_is_refused_and_never_happens(engine: Engine) -> None:
    db = Database(engine, threads=1, silence_limit=timedelta(milliseconds=50))
    holder = Holder(db)
    await eventually(holder.has_begun.is_set)
    try:
        with pytest.raises(DatabaseUnavailable, match="does not answer"):
            await db.write(lambda tx: add_cluster(tx, "oslo"))
    finally:
        holder.may_end.set()
    await holder.holding
    assert await db.read(cluster_names) == []
    db.close()


async def test_a_long_queue_that_moves_refuses_nobody(engine: Engine) -> None:
    """Each transaction takes half of what a silent database is given; the last of them waits for ten times that."""
    db = Database(engine, threads=1, silence_limit=timedelta(milliseconds=200))
    done = await asyncio.gather(*(db.write(lambda tx: time.sleep(0.1)) for _ in range(20)))
    assert done == [None] * 20
    db.close()


async def test_a_caller_that_is_cancelled_while_it_waits_stays_cancelled(engine: Engine) -> None:
    db = Database(engine, threads=1)
    holder = Holder(db)
    await eventually(holder.has_begun.is_set)
    waiting = asyncio.create_task(db.write(lambda tx: add_cluster(tx, "oslo")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    holder.may_end.set()
    await holder.holding
    assert await db.read(cluster_names) == []
    db.close()


def settings_in_force(engine: Engine, *names: str) -> list[object]:
    with engine.connect() as connection:
        return [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names]


@pytest.mark.sqlite
def test_sqlite_is_opened_so_that_a_power_cut_loses_nothing_and_no_lock_is_waited_for_without_end(
    tmp_path: Path,
) -> None:
    engine = make_engine(URL.create("sqlite", database=str(tmp_path / "edge-server.db")), pool_size=1)
    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    with engine.connect() as connection:
        pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
    assert pragmas == ["wal", 2, 1, 5000]
    engine.dispose()


@pytest.mark.postgres
@pytest.mark.parametrize(("chosen", "in_force"), [("off", "on"), ("remote_apply", "remote_apply"), ("local", "local")])
def test_postgresql_keeps_what_was_committed_whatever_the_database_was_told(
    postgres_database: str, chosen: str, in_force: str
) -> None:
    configure(postgres_database, "synchronous_commit", chosen)
    engine = make_engine(make_url(postgres_database), pool_size=1)
    assert settings_in_force(engine, "synchronous_commit") == [in_force]
    engine.dispose()


@pytest.mark.postgres
def test_no_statement_lock_or_forgotten_transaction_of_an_admin_lasts_without_end(postgres_database: str) -> None:
    engine = make_engine(make_url(postgres_database), pool_size=1)
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    assert settings_in_force(engine, *names) == ["10s", "5s", "30s"]
    engine.dispose()
    engine = make_migration_engine(make_url(postgres_database))
    assert settings_in_force(engine, *names) == ["0", "0", "0"]
    engine.dispose()


@pytest.mark.postgres
def test_what_the_url_says_of_the_connection_goes_before_our_own_choice(postgres_database: str) -> None:
    url = make_url(postgres_database).update_query_dict({"application_name": "oslo"})
    engine = make_engine(url, pool_size=1)
    assert settings_in_force(engine, "application_name") == ["oslo"]
    engine.dispose()


@pytest.mark.postgres
async def test_transactions_that_lock_each_other_out_both_happen(db: Database) -> None:
    await db.write(lambda tx: [add_cluster(tx, name) for name in ("oslo", "bergen")])
    both = threading.Barrier(2)

    def limit(*names: str) -> Callable[[Session], None]:
        tries: list[str] = []

        def work(tx: Session) -> None:
            tries.append("one more")
            for name in names:
                tx.execute(update(ClusterRow).where(ClusterRow.name == name).values(node_limit=1))
                if tries == ["one more"] and name == names[0]:
                    both.wait(10)

        return work

    await asyncio.gather(db.write(limit("oslo", "bergen")), db.write(limit("bergen", "oslo")))
    assert await db.read(lambda tx: list(tx.scalars(select(ClusterRow.node_limit)))) == [1, 1]


@pytest.mark.sqlite
async def test_a_file_that_another_program_holds_is_locked_and_not_down(
    migrated_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_server.db.engine._SQLITE_BUSY_SECONDS", 0.05)
    db = Database(make_engine(migrated_url, pool_size=1), threads=1)
    other = sqlite3.connect(str(migrated_url.database), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DatabaseUnavailable, match="another program holds the lock"):
        await db.write(lambda tx: add_cluster(tx, "oslo"))
    assert await db.read(cluster_names) == []
    other.close()
    await db.write(lambda tx: add_cluster(tx, "oslo"))
    db.close()


@pytest.mark.sqlite
async def test_a_file_that_may_not_be_written_is_read_only_and_not_down(migrated_url: URL) -> None:
    url = URL.create("sqlite", database=f"file:{migrated_url.database}", query={"mode": "ro", "uri": "true"})
    db = Database(make_engine(url, pool_size=1), threads=1)
    with pytest.raises(DatabaseUnavailable, match="can only be read"):
        await db.write(lambda tx: add_cluster(tx, "oslo"))
    assert await db.read(cluster_names) == []
    db.close()


@pytest.mark.postgres
async def test_a_server_that_only_reads_is_read_only_and_not_a_fault_of_ours(migrated_url: URL) -> None:
    configure(migrated_url.render_as_string(hide_password=False), "default_transaction_read_only", "on")
    db = Database(make_engine(migrated_url, pool_size=1), threads=1)
    with pytest.raises(DatabaseUnavailable, match="can only be read"):
        await db.write(lambda tx: add_cluster(tx, "oslo"))
    assert await db.read(cluster_names) == []
    db.close()


@pytest.mark.sqlite
async def test_a_full_disk_says_so_and_is_over_when_there_is_space(migrated_url: URL) -> None:
    pages = [1]  # SQLite takes the present size then: the file may not grow
    engine = make_engine(migrated_url, pool_size=1)
    event.listen(engine, "connect", lambda connection, _: connection.execute(f"PRAGMA max_page_count={pages[0]}"))
    db = Database(engine, threads=1)
    with pytest.raises(StorageFull) as raised:
        await db.write(lambda tx: [add_cluster(tx, f"c{place}") for place in range(1000)])
    assert (raised.value.code, raised.value.started, raised.value.exit_code) == ("storage_full", "no", 9)
    assert "free space" in raised.value.hint
    assert await db.read(cluster_names) == []
    pages[0] = 100_000
    engine.dispose()
    await db.write(lambda tx: [add_cluster(tx, f"c{place}") for place in range(1000)])
    db.close()


@pytest.mark.postgres
async def test_an_outage_is_an_error_of_its_own_said_once_and_over_when_it_is_over(
    db: Database, postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    await db.write(lambda tx: add_cluster(tx, "oslo"))
    postgres_server.stop()
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable, match="the admin's database is down") as raised:
            await db.read(cluster_names)
    assert (raised.value.started, raised.value.hint) == ("no", "repeat it in a moment")
    postgres_server.start()
    assert await db.read(cluster_names) == ["oslo"]
    said = [record.getMessage() for record in caplog.records if record.name == "edge_server.db.database"]
    assert [line.partition(":")[0].partition(" after")[0] for line in said] == [
        "the admin's database is down",
        "the database is back",
    ]


@pytest.mark.postgres
async def test_a_server_that_is_frozen_is_given_up_and_is_used_again_when_it_goes_on(
    migrated_url: URL, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PatientConnection, "silence_limit", 0.3)
    db = Database(make_engine(migrated_url.update_query_dict({"connect_timeout": "2"}), pool_size=1), threads=1)
    await db.write(lambda tx: add_cluster(tx, "oslo"))
    postgres_server.freeze()
    for _ in range(2):  # over a connection that was there, then over a new one
        with pytest.raises(DatabaseUnavailable, match="the admin's database is down"):
            await db.read(cluster_names)
    postgres_server.thaw()
    assert await db.read(cluster_names) == ["oslo"]
    db.close()


@pytest.mark.postgres
async def test_a_connection_that_breaks_within_a_transaction_undoes_it(
    db: Database, postgres_server: PostgresServer
) -> None:
    def work(tx: Session) -> None:
        add_cluster(tx, "oslo")
        postgres_server.stop()
        add_cluster(tx, "bergen")

    with pytest.raises(DatabaseUnavailable, match="is down") as raised:
        await db.write(work)
    assert raised.value.started == "no"
    postgres_server.start()
    assert await db.read(cluster_names) == []


@pytest.mark.postgres
async def test_a_connection_that_breaks_in_the_commit_leaves_open_whether_it_is_stored(
    db: Database, postgres_server: PostgresServer
) -> None:
    def work(tx: Session) -> None:
        add_cluster(tx, "oslo")
        postgres_server.stop()

    with pytest.raises(DatabaseUnavailable, match="may be stored or not") as raised:
        await db.write(work)
    assert (raised.value.started, raised.value.may_be_repeated) == ("unknown", False)
    postgres_server.start()
    assert await db.read(cluster_names) == []


def configure(url: str, name: str, value: str) -> None:
    """What new connections to a database begin with."""
    plain = make_migration_engine(make_url(url))
    with plain.begin() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {make_url(url).database} SET {name} = {value}")
    plain.dispose()
