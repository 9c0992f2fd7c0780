"""The disk of the database is full in the middle of a command: what runs goes on, and no result is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from edge_wire.errors import StorageFull
from tests.edge_server.scene import EVERYONE, a_scene
from tests.edge_server.scripted_node import ended, run_on
from tests.support.databases import DatabaseSettings
from tests.support.harness import Installation, installation
from tests.support.postgres import PostgresServer
from tests.support.small_disk import SmallDisk

BULKY = f"true {'x' * 60_000}"
MOST_COMMANDS = 200
"""More than fit into what files that stopped growing have left inside."""


@pytest.fixture
def database_on_small_disk(
    database_kind: str, small_disk: SmallDisk, request: pytest.FixtureRequest
) -> Iterator[DatabaseSettings]:
    """SQLite's file, or the tables of a PostgreSQL database, lie on the small disk."""
    if database_kind == "sqlite":
        yield {"db_adapter": "sqlite", "sqlite_db_path": small_disk.path / "edge-server.db"}
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    template: str = request.getfixturevalue("migrated_postgres")
    server.start()
    directory = small_disk.path / "tables"
    directory.mkdir()
    name = server.create_database_at(directory, template=template)
    yield {"db_adapter": "postgres", "database_url": server.url(name)}
    server.drop_database_at(name)


@pytest.fixture
async def site_on_small_disk(tmp_path: Path, database_on_small_disk: DatabaseSettings) -> AsyncIterator[Installation]:
    async with installation(tmp_path, database_on_small_disk) as made:
        await made.start_admin()
        yield made


async def accepted_until_full(site: Installation) -> tuple[list[str], StorageFull]:
    """The commands that still found a place, and the answer to the first that did not."""
    accepted: list[str] = []
    for _ in range(MOST_COMMANDS):
        try:
            created = await run_on(site, "n000", shell=BULKY)
        except StorageFull as refused:
            return accepted, refused
        accepted.append(created.command_id)
    raise AssertionError("the disk is not full")


@pytest.mark.root
@pytest.mark.timeout(300)
async def test_a_full_disk_in_the_middle_of_a_command_costs_nothing(
    site_on_small_disk: Installation, small_disk: SmallDisk
) -> None:
    site = site_on_small_disk
    async with a_scene(site) as scene:
        small_disk.fill()
        accepted, refused = await accepted_until_full(site)
        assert (refused.code, refused.started) == ("storage_full", "no")
        assert refused.message == "the disk of the admin's database is full"
        assert "free space" in refused.hint
        await scene.report_all_that_runs()
        with pytest.raises(StorageFull):
            await run_on(site, EVERYONE, shell="true")
        small_disk.free()
        await scene.nothing_is_lost()
        for command_id in accepted:
            assert set((await ended(site, command_id, within=60)).values()) == {"ok"}
        assert (await run_on(site, "n000", shell="true")).command_id
