"""On which databases a test runs, and a database of that kind that only this test knows.

A test that uses a database runs on SQLite and on PostgreSQL when it lies in tests/edge_server, else on SQLite;
`--database sqlite|postgres|both` says otherwise. A test marked `sqlite` or `postgres` is about that one and runs on no
other.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session

from edge_server.db.engine import make_migration_engine
from edge_server.db.migrate import migrate
from tests.support.postgres import PostgresServer

KINDS = ("sqlite", "postgres")
ALWAYS_BOTH = "tests/edge_server/"

DatabaseSettings = Mapping[str, Any]
"""The settings by which an admin finds its database."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=[*KINDS, "both"],
        help="run the tests that use a database on this one (default: both in tests/edge_server, sqlite elsewhere)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database_kind" in metafunc.fixturenames:
        # The marker lets -m choose, and is why a test that runs on both is not one that is about PostgreSQL.
        marks = {"sqlite": (), "postgres": (pytest.mark.postgres,)}
        chosen = [pytest.param(kind, marks=marks[kind]) for kind in kinds_for(metafunc.definition)]
        metafunc.parametrize("database_kind", chosen, indirect=True, scope="module")


def kinds_for(test: pytest.Item) -> list[str]:
    """On which databases this test runs."""
    about = [kind for kind in KINDS if test.get_closest_marker(kind) is not None]
    if about:
        return about
    chosen = test.config.getoption("--database")
    if chosen is None:
        chosen = "both" if test.nodeid.startswith(ALWAYS_BOTH) else "sqlite"
    return list(KINDS) if chosen == "both" else [chosen]


@pytest.fixture(scope="module")
def database_kind(request: pytest.FixtureRequest) -> str:
    """`sqlite` or `postgres`: whoever asks for it runs once on each that is chosen."""
    return str(request.param)


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
    with a_migrated_postgres(request) as url:
        yield make_url(url)


@pytest.fixture
def database_settings(database_kind: str, request: pytest.FixtureRequest) -> Iterator[DatabaseSettings]:
    """The database of one installation."""
    with settings_of(database_kind, request) as settings:
        yield settings


@pytest.fixture(scope="module")
def shared_database_settings(database_kind: str, request: pytest.FixtureRequest) -> Iterator[DatabaseSettings]:
    """The database of an installation that the tests of a module share."""
    with settings_of(database_kind, request) as settings:
        yield settings


@contextmanager
def settings_of(kind: str, request: pytest.FixtureRequest) -> Iterator[DatabaseSettings]:
    """Settings for a database of this kind. An SQLite file is made by the admin, in its data directory."""
    if kind == "sqlite":
        yield {"db_adapter": "sqlite"}
        return
    with a_migrated_postgres(request) as url:
        yield {"db_adapter": "postgres", "database_url": url}


@contextmanager
def a_migrated_postgres(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a migrated database, which is removed at the end. Whoever stops its server need not start it again."""
    server: PostgresServer = request.getfixturevalue("postgres_server")
    template: str = request.getfixturevalue("migrated_postgres")
    server.start()
    name = server.create_database(template=template)
    yield server.url(name)
    server.start()
    server.drop_database(name)


def migrate_at(url: URL) -> None:
    """Migrate and let go of every connection."""
    engine = make_migration_engine(url)
    migrate(engine)
    engine.dispose()


def count_waiting(tx: Session) -> int:
    """How many transactions of this PostgreSQL database wait for a lock of another one."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    return tx.scalar(text(waiting)) or 0
