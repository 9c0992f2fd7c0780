"""Fixtures of the admin's tests: an empty and a migrated database, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import URL, make_url

from edge_server.db.database import Database
from edge_server.db.engine import make_engine
from edge_server.settings import Settings
from tests.edge_server.admin import Admin, add_two_nodes

POOL_SIZE = 8


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which nothing is set for the admin."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)


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
