"""Checks the admin's data directory: secrets that only its owner reads, and one admin per SQLite file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_server.app import AdminApp
from edge_server.data_dir import load_secrets, lock_sqlite
from edge_server.encryption import parse_keys
from edge_server.settings import Settings
from edge_wire.errors import DatabaseDamaged, DatabaseInUse, DirectoryNotWritable, EdgeError, SettingsInvalid
from edge_wire.private_files import open_data_dir, write_private

pytestmark = pytest.mark.usefixtures("no_settings")


def settings_in(directory: Path, **others: object) -> Settings:
    return Settings.model_validate({"data_dir": directory, "grpc_listen": "127.0.0.1:0", **others})


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_first_start_makes_secrets_that_only_the_owner_reads(tmp_path: Path) -> None:
    secrets = load_secrets(settings_in(tmp_path))
    assert secrets.made_at == tmp_path / "secrets.json"
    assert mode_of(tmp_path / "secrets.json") == 0o600
    assert secrets.master_key.startswith("edge_op_")
    assert len(parse_keys(secrets.encryption_key)) == 1


def test_the_second_start_reads_the_same_secrets(tmp_path: Path) -> None:
    first, second = load_secrets(settings_in(tmp_path)), load_secrets(settings_in(tmp_path))
    assert (second.master_key, second.encryption_key) == (first.master_key, first.encryption_key)
    assert second.made_at is None


def test_what_is_set_wins_over_what_was_made(tmp_path: Path) -> None:
    made = load_secrets(settings_in(tmp_path))
    secrets = load_secrets(settings_in(tmp_path, master_key="a master key of my own"))
    assert (secrets.master_key, secrets.encryption_key) == ("a master key of my own", made.encryption_key)


def test_nothing_is_made_when_everything_is_set(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, master_key="a master key of my own", encryption_key="A" * 43 + "=")
    assert load_secrets(settings).made_at is None
    assert list(tmp_path.iterdir()) == []


def test_secrets_are_not_in_the_repr(tmp_path: Path) -> None:
    secrets = load_secrets(settings_in(tmp_path))
    assert secrets.master_key not in repr(secrets)
    assert secrets.encryption_key not in repr(secrets)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"MASTER_KEY": "a master key of my own"}',
        pytest.param('{"MASTER_KEY": null, "ENCRYPTION_KEY": null}'),
    ],
)
def test_a_damaged_file_of_secrets_is_said_to_be_damaged_and_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "secrets.json").write_text(text)
    with pytest.raises(SettingsInvalid, match=r"secrets\.json is damaged"):
        load_secrets(settings_in(tmp_path))
    assert (tmp_path / "secrets.json").read_text() == text


@pytest.mark.parametrize("key", ["not base64!", "AAAA"])
async def test_a_damaged_encryption_key_among_the_secrets_is_a_clear_error(tmp_path: Path, key: str) -> None:
    (tmp_path / "secrets.json").write_text(json.dumps({"MASTER_KEY": "m" * 20, "ENCRYPTION_KEY": key}))
    with pytest.raises(EdgeError):
        await AdminApp(settings_in(tmp_path)).start()


def test_a_private_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "login"
    path.write_text("older and readable by all")
    path.chmod(0o644)
    write_private(path, "new\n")
    assert (path.read_text(), mode_of(path)) == ("new\n", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    open_data_dir(tmp_path / "state" / "edge-server")
    assert mode_of(tmp_path / "state" / "edge-server") == 0o700
    assert list((tmp_path / "state" / "edge-server").iterdir()) == []


def test_a_directory_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DirectoryNotWritable, match="cannot be written") as raised:
        open_data_dir(tmp_path / "file" / "edge-server")
    assert "DATA_DIR" in raised.value.hint


def test_a_second_admin_on_the_same_file_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    lock = lock_sqlite(tmp_path / "edge-server.db")
    with pytest.raises(DatabaseInUse, match=r"another edge-server uses .*edge-server\.db"):
        lock_sqlite(tmp_path / "edge-server.db")
    os.close(lock)
    os.close(lock_sqlite(tmp_path / "edge-server.db"))


def test_a_killed_admin_leaves_no_lock_behind(tmp_path: Path) -> None:
    path = tmp_path / "edge-server.db"
    code = f"from pathlib import Path; from edge_server.data_dir import lock_sqlite; lock_sqlite(Path({str(path)!r}))"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{code}; print('locked', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(DatabaseInUse):
            lock_sqlite(path)
        holder.kill()
    os.close(lock_sqlite(path))


async def test_a_second_admin_on_the_same_sqlite_does_not_start(tmp_path: Path) -> None:
    first = AdminApp(settings_in(tmp_path))
    await first.start()
    try:
        with pytest.raises(DatabaseInUse):
            await AdminApp(settings_in(tmp_path)).start()
    finally:
        await first.stop()


async def test_lost_secrets_are_not_replaced_by_some_that_do_not_fit_the_database(tmp_path: Path) -> None:
    app = AdminApp(settings_in(tmp_path))
    await app.start()
    await app.stop()
    (tmp_path / "secrets.json").rename(tmp_path / "copy")
    app = AdminApp(settings_in(tmp_path))
    with pytest.raises(SettingsInvalid, match="ENCRYPTION_KEY") as raised:
        await app.start()
    assert "put back a copy" in raised.value.hint
    assert (app.made_secrets_at, (tmp_path / "secrets.json").exists()) == (None, False)
    (tmp_path / "copy").rename(tmp_path / "secrets.json")
    app = AdminApp(settings_in(tmp_path))
    await app.start()
    await app.stop()


async def test_an_admin_that_cannot_start_leaves_nothing_locked(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")
    app = AdminApp(settings_in(tmp_path))
    with pytest.raises(SettingsInvalid):
        await app.start()
    os.close(lock_sqlite(tmp_path / "edge-server.db"))


def test_another_name_of_the_same_file_is_the_same_database(tmp_path: Path) -> None:
    (tmp_path / "other.db").symlink_to(tmp_path / "edge.db")
    lock = lock_sqlite(tmp_path / "edge.db")
    with pytest.raises(DatabaseInUse):
        lock_sqlite(tmp_path / "other.db")
    assert (tmp_path / "edge.db").stat().st_mode & 0o777 == 0o600
    os.close(lock)


def test_a_place_where_no_database_can_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "locked.db.lock").mkdir()
    (tmp_path / "directory.db").mkdir()
    for place in (Path("/proc/x/edge.db"), tmp_path / "locked.db", tmp_path / "directory.db"):
        with pytest.raises(DirectoryNotWritable, match=f"SQLite file {place} cannot be written") as raised:
            lock_sqlite(place)
        assert "SQLITE_DB_PATH" in raised.value.hint


async def test_the_database_is_read_by_its_owner_only_also_one_that_was_not(tmp_path: Path) -> None:
    path = tmp_path / "edge-server.db"
    path.touch(mode=0o644)
    app = AdminApp(settings_in(tmp_path))
    await app.start()
    try:
        files = sorted(file.name for file in tmp_path.glob("edge-server.db*"))
        assert files == ["edge-server.db", "edge-server.db-shm", "edge-server.db-wal", "edge-server.db.lock"]
        assert {mode_of(file) for file in tmp_path.glob("edge-server.db*")} == {0o600}
    finally:
        await app.stop()


async def test_a_file_that_is_no_database_is_said_to_be_none_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "edge-server.db").write_text("my holiday pictures" * 100)
    with pytest.raises(DatabaseDamaged, match=r"edge-server\.db cannot be used \(file is not a database\)"):
        await AdminApp(settings_in(tmp_path)).start()
    assert (tmp_path / "edge-server.db").read_text().startswith("my holiday pictures")
