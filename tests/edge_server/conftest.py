"""Fixtures of the admin's tests: an empty and a migrated database, on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import URL, make_url

from edge_server.db.database import Database
from edge_server.db.engine import make_engine
from edge_server.db.migrate import migrate
from edge_server.settings import Settings
from tests.edge_server.admin import Admin, add_two_nodes
from tests.support.postgres import PostgresServer

POOL_SIZE = 8


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which nothing is set for the admin."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Every test that uses a database runs on both kinds."""
    return str(request.param)


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """Where an empty database is that only this test knows."""
    if database_kind == "sqlite":
        return URL.create("sqlite", database=str(tmp_path / "empty.db"))
    return make_url(request.getfixturevalue("postgres_database"))


@pytest.fixture
def empty_engine(database_url: URL) -> Iterator[Engine]:
    """An engine on an empty database."""
    engine = make_engine(database_url, pool_size=POOL_SIZE)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy: migrating anew for every test would be most of the time that tests take."""
    path = tmp_path_factory.mktemp("migrated") / "edge-server.db"
    migrate_at(URL.create("sqlite", database=str(path)))
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: PostgresServer) -> str:
    """As `migrated_sqlite`: the name of a database."""
    postgres_server.start()
    name = postgres_server.create_database()
    migrate_at(make_url(postgres_server.url(name)))
    return name


@pytest.fixture
def migrated_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[URL]:
    """Where a migrated database is that only this test knows."""
    if database_kind == "sqlite":
        path = tmp_path / "edge-server.db"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
        yield URL.create("sqlite", database=str(path))
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    template: str = request.getfixturevalue("migrated_postgres")
    server.start()
    name = server.create_database(template=template)
    yield make_url(server.url(name))
    server.start()
    server.drop_database(name)


@pytest.fixture
def engine(migrated_url: URL) -> Iterator[Engine]:
    """An engine on a migrated database."""
    engine = make_engine(migrated_url, pool_size=POOL_SIZE)
    yield engine
    engine.dispose()


@pytest.fixture
def db(engine: Engine) -> Iterator[Database]:
    """A migrated database as services get it."""
    database = Database(engine, threads=POOL_SIZE)
    yield database
    database.close()


@pytest.fixture
async def admin(db: Database) -> AsyncIterator[Admin]:
    """An admin's half of commands, running."""
    await db.write(add_two_nodes)
    admin = Admin(db)
    admin.recorder.start()
    yield admin
    await admin.reconciler.stop()
    await admin.recorder.stop()


def migrate_at(url: URL) -> None:
    """Migrate and let go of every connection."""
    engine = make_engine(url, pool_size=1)
    migrate(engine)
    engine.dispose()
