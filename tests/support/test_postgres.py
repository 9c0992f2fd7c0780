"""Checks the PostgreSQL of the tests itself: fresh databases, a stop that loses nothing, servers left behind."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.leftovers import PREFIX
from tests.support.postgres import SCRATCH, PostgresServer, binaries, free_port, remove_abandoned, server_account

pytestmark = pytest.mark.postgres


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.mark.parametrize("attempt", [1, 2])
def test_each_test_gets_an_empty_database(postgres_database: str, attempt: int) -> None:
    execute(postgres_database, "CREATE TABLE seen (attempt int)")
    assert execute(postgres_database, "SELECT count(*) FROM seen") == [(0,)]


def test_a_stopped_server_refuses_connections_and_comes_back_with_what_was_committed(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    execute(postgres_database, "CREATE TABLE kept AS SELECT 7 AS number")
    postgres_server.stop()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        execute(postgres_database, "SELECT 1")
    postgres_server.start()
    assert execute(postgres_database, "SELECT number FROM kept") == [(7,)]


def test_a_wrong_password_is_refused(postgres_database: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        execute(postgres_database.replace("edge:", "edge:not"), "SELECT 1")


def test_a_database_can_be_copied_from_another(postgres_server: PostgresServer) -> None:
    template = postgres_server.create_database()
    execute(postgres_server.url(template), "CREATE TABLE migrated AS SELECT 1 AS version")
    copy = postgres_server.create_database(template=template)
    assert execute(postgres_server.url(copy), "SELECT version FROM migrated") == [(1,)]
    postgres_server.drop_database(copy)
    postgres_server.drop_database(template)


@pytest.fixture
def killed_run_directory() -> Iterator[Path]:
    """A directory as a run leaves it that was killed: its process id is above what the kernel hands out."""
    directory = SCRATCH / f"{PREFIX}-{2**22 + 1}-abc"
    directory.mkdir(mode=0o700)
    yield directory
    assert not directory.exists()


@pytest.mark.usefixtures("postgres_server")
def test_a_server_that_a_killed_run_left_behind_is_stopped_and_removed(killed_run_directory: Path) -> None:
    programs, account = binaries(), server_account()
    assert programs is not None
    port = free_port()
    left_behind = PostgresServer(binaries=programs, directory=killed_run_directory, account=account, port=port)
    left_behind.initialize()
    left_behind.start()

    remove_abandoned(programs, account)

    with pytest.raises(psycopg.OperationalError, match="refused"):
        execute(left_behind.url("postgres"), "SELECT 1")
