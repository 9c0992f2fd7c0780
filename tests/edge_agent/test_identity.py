"""The data directory: what the agent is comes back as it was stored, for its owner's eyes only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent import identity as identities
from edge_agent.identity import Identity
from edge_wire import certificates
from edge_wire.errors import AgentRunning, DirectoryNotWritable, NotEnrolled, SettingsInvalid
from edge_wire.private_files import open_data_dir

IDENTITY = Identity(
    node_id="8b0f7c1e-4a3d-4a55-9d0e-6f2c1b7a9e10",
    node_name="gate-7",
    cluster="ports",
    admin_urls=["https://one.example:44100", "https://two.example:44100"],
    ca_certificates=[b"\x30\x00first", b"\xff second"],
    certificate=bytes(range(256)),
)


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    """Modes are the agent's own doing, not the umask's."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(directory: Path) -> dict[str, str]:
    return {path.name: oct(path.stat().st_mode & 0o777) for path in directory.iterdir()}


def test_an_identity_comes_back_as_it_was_stored(tmp_path: Path) -> None:
    identities.save_identity(tmp_path, IDENTITY)
    assert identities.load_identity(tmp_path) == IDENTITY
    assert identities.require_identity(tmp_path) == IDENTITY


def test_before_enrolling_there_is_none(tmp_path: Path) -> None:
    assert identities.load_identity(tmp_path) is None
    with pytest.raises(NotEnrolled):
        identities.require_identity(tmp_path)


def test_keys_are_made_once(tmp_path: Path) -> None:
    made = identities.load_or_make_keys(tmp_path)
    assert identities.load_or_make_keys(tmp_path) == made
    certificates.load_key(made.key_pem)
    (tmp_path / "other").mkdir()
    other = identities.load_or_make_keys(tmp_path / "other")
    assert other.token != made.token
    assert other.key_pem != made.key_pem


def test_keys_are_not_in_the_repr(tmp_path: Path) -> None:
    keys = identities.load_or_make_keys(tmp_path)
    assert keys.token not in repr(keys)
    assert "PRIVATE" not in repr(keys)


def test_everything_is_for_its_owner_only(tmp_path: Path) -> None:
    data_dir = tmp_path / "state" / "edge-agent"
    open_data_dir(data_dir)
    identities.load_or_make_keys(data_dir)
    identities.save_identity(data_dir, IDENTITY)
    os.close(identities.lock_data_dir(data_dir))
    assert modes(data_dir) == {"keys.json": "0o600", "identity.json": "0o600", "lock": "0o600"}
    assert modes(data_dir.parent) == {"edge-agent": "0o700"}


def test_a_directory_that_is_there_is_used_and_left_clean(tmp_path: Path) -> None:
    open_data_dir(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file/data", "file", "/proc/edge-agent"])
def test_a_directory_that_cannot_be_written_is_one_clear_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DirectoryNotWritable, match="cannot be written") as raised:
        open_data_dir(tmp_path / place)
    assert str(tmp_path / place) in raised.value.message
    assert "DATA_DIR" in raised.value.hint


def test_a_directory_belongs_to_one_agent_at_a_time(tmp_path: Path) -> None:
    lock = identities.lock_data_dir(tmp_path)
    with pytest.raises(AgentRunning, match="another agent"):
        identities.lock_data_dir(tmp_path)
    os.close(lock)
    os.close(identities.lock_data_dir(tmp_path))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"node_id": "8b0f', id="torn"),
        pytest.param(b"\xff\xfe\x00", id="not text"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="without fields"),
    ],
)
def test_a_damaged_identity_is_one_clear_line(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "identity.json").write_bytes(damage)
    with pytest.raises(SettingsInvalid, match=r"identity\.json is damaged") as raised:
        identities.load_identity(tmp_path)
    assert "enroll the node anew" in raised.value.hint


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe\x00", id="not text"),
        pytest.param(b"[]", id="a list"),
        pytest.param(
            b"{}",
            id="without fields",
        ),
    ],
)
def test_a_damaged_key_file_is_one_clear_line_and_never_replaced(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "keys.json").write_bytes(damage)
    with pytest.raises(SettingsInvalid, match=r"keys\.json is damaged"):
        identities.load_or_make_keys(tmp_path)
    assert (tmp_path / "keys.json").read_bytes() == damage


def test_a_directory_that_takes_no_lock_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(DirectoryNotWritable, match="lock cannot be written") as raised:
        identities.lock_data_dir(tmp_path)
    assert "DATA_DIR" in raised.value.hint


def test_a_crash_while_storing_leaves_the_old_identity(tmp_path: Path) -> None:
    identities.save_identity(tmp_path, IDENTITY)
    (tmp_path / ".identity.json.4711").write_text('{"node_id": "half')
    assert identities.load_identity(tmp_path) == IDENTITY


def test_a_welcome_replaces_what_is_known_but_never_with_nothing() -> None:
    renamed = identities.updated(
        IDENTITY, node_name="gate-8", cluster="harbours", admin_urls=["https://three.example"], ca_certificates=[]
    )
    assert (renamed.node_name, renamed.cluster) == ("gate-8", "harbours")
    assert renamed.admin_urls == ["https://three.example"]
    assert renamed.ca_certificates == IDENTITY.ca_certificates
    kept = identities.updated(
        IDENTITY, node_name="gate-7", cluster="ports", admin_urls=[], ca_certificates=IDENTITY.ca_certificates
    )
    assert kept == IDENTITY
