"""Checks migrations on both databases: from nothing, all or nothing, and databases of other programs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlalchemy.engine import URL

from edge_server.app import AdminApp
from edge_server.db.engine import WRITE, make_engine
from edge_server.db.migrate import GENERATION, check, migrate
from edge_server.db.tables import metadata
from edge_server.settings import Settings
from edge_wire.errors import DatabaseNewer, DatabaseNotMigrated, DatabaseUnavailable


def execute(engine: Engine, *statements: str) -> None:
    with engine.execution_options(**WRITE).begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def test_an_empty_database_gets_every_table(empty_engine: Engine) -> None:
    assert migrate(empty_engine) == ["0001", "0002", "0003"]
    assert tables(empty_engine) == {*metadata.tables, "alembic_version"}
    check(empty_engine)


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    assert migrate(engine) == []
    check(engine)


def test_the_migrations_make_exactly_what_the_models_say(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def seen(engine: Engine) -> dict[str, object]:
    """What Alembic does not compare: checks, and the conditions of indexes."""
    shown = inspect(engine)
    found: dict[str, object] = {}
    for name in metadata.tables:
        found |= {str(check["name"]): check["sqltext"] for check in shown.get_check_constraints(name)}
        for index in shown.get_indexes(name):
            found[str(index["name"])] = {key: str(value) for key, value in index.get("dialect_options", {}).items()}
    return found


def test_the_migrations_make_every_check_and_partial_index_of_the_models(engine: Engine) -> None:
    migrated = seen(engine)
    metadata.drop_all(engine)
    metadata.create_all(engine)
    assert migrated == seen(engine)


def test_a_migration_that_fails_halfway_leaves_nothing(empty_engine: Engine) -> None:
    execute(empty_engine, "CREATE TABLE nodes (mine int)")
    with pytest.raises(Exception, match="nodes"):
        migrate(empty_engine)
    assert tables(empty_engine) == {"nodes"}


@pytest.mark.postgres
async def test_admins_that_migrate_at_once_apply_everything_once(empty_engine: Engine, database_url: URL) -> None:
    others = [make_engine(database_url, pool_size=1) for _ in range(3)]
    applied = await asyncio.gather(*(asyncio.to_thread(migrate, engine) for engine in [empty_engine, *others]))
    assert sorted(applied) == [[], [], [], ["0001", "0002", "0003"]]
    for engine in others:
        engine.dispose()


@pytest.mark.parametrize("use", [check, migrate])
def test_a_database_that_needs_a_newer_program_is_refused(engine: Engine, use: Callable[[Engine], object]) -> None:
    execute(
        engine,
        "UPDATE alembic_version SET version_num = '9999'",
        f"UPDATE compatibility SET oldest_generation = {GENERATION + 1}",
    )
    with pytest.raises(DatabaseNewer, match="generation 3 or newer, this one is of generation 2"):
        use(engine)


def test_a_newer_database_that_still_admits_this_program_is_used_and_left_alone(engine: Engine) -> None:
    execute(engine, "UPDATE alembic_version SET version_num = '9999'")
    check(engine)
    assert migrate(engine) == []


def test_a_database_that_was_never_migrated_says_what_to_run(empty_engine: Engine) -> None:
    with pytest.raises(DatabaseNotMigrated) as raised:
        check(empty_engine)
    assert raised.value.hint == "run: edge-server migrate"
    assert tables(empty_engine) == set()


def test_somebody_elses_database_is_not_taken_for_ours(empty_engine: Engine) -> None:
    execute(
        empty_engine,
        "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)",
        "INSERT INTO alembic_version VALUES ('theirs')",
    )
    for use in (check, migrate):
        with pytest.raises(DatabaseNotMigrated, match="something else than an edge-server schema"):
            use(empty_engine)


@pytest.mark.postgres
@pytest.mark.usefixtures("no_settings")
async def test_an_admin_does_not_migrate_postgresql_by_itself(postgres_database: str) -> None:
    settings = Settings.model_validate(
        {"database_url": postgres_database, "master_key": "m" * 20, "encryption_key": "A" * 43 + "="}
    )
    with pytest.raises(DatabaseNotMigrated):
        await AdminApp(settings).start()


@pytest.mark.postgres
def test_a_database_that_is_down_is_a_clear_error() -> None:
    engine = make_engine(URL.create("postgresql+psycopg", host="127.0.0.1", port=1, username="edge"), pool_size=1)
    for use in (check, migrate):
        with pytest.raises(DatabaseUnavailable, match="refused") as raised:
            use(engine)
        assert "DATABASE_URL" in raised.value.hint
