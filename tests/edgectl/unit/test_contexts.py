"""Checks contexts: they are kept privately, one of them is current, and a damaged file says so."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from edge_wire.errors import ContextNotFound, InvalidValue, NotLoggedIn
from edge_wire.private_files import write_private
from edgectl.contexts import (
    Context,
    Contexts,
    config_dir,
    config_file,
    find_context,
    load_contexts,
    remove_context,
    save_context,
    use_context,
)

OSLO = Context(name="oslo", admin_urls=["https://a:1", "https://b:2"], ca_certificate=b"\x30\x00\xff", store="keyring")
ROME = Context(
    name="rome", admin_urls=["https://c:3"], ca_certificate=b"\x30", store="file", credential_file="/home/me/rome"
)


@pytest.fixture(autouse=True)
def directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty place for the configuration."""
    monkeypatch.setenv("EDGECTL_CONFIG_DIR", str(tmp_path / "edgectl"))
    monkeypatch.delenv("EDGECTL_CONTEXT", raising=False)
    return tmp_path / "edgectl"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_configuration_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECTL_CONFIG_DIR", "/chosen")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/xdg")
    monkeypatch.setenv("HOME", "/home/me")
    assert config_dir() == Path("/chosen")
    monkeypatch.setenv("EDGECTL_CONFIG_DIR", "")
    assert config_dir() == Path("/xdg/edgectl")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert config_dir() == Path("/home/me/.config/edgectl")


def test_without_a_file_there_are_no_contexts() -> None:
    assert load_contexts() == Contexts()
    assert not config_file().exists()


def test_what_is_saved_comes_back() -> None:
    save_context(OSLO, make_current=False)
    save_context(ROME, make_current=False)
    assert load_contexts() == Contexts(current="oslo", by_name={"oslo": OSLO, "rome": ROME})


def test_the_file_and_its_directory_are_private(directory: Path) -> None:
    save_context(OSLO, make_current=True)
    assert mode_of(config_file()) == 0o600
    assert mode_of(directory) == 0o700
    assert [path.name for path in directory.iterdir()] == ["config.json"]


def test_a_file_that_others_could_read_becomes_private_when_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "credential"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert mode_of(path) == 0o600


def test_the_first_context_is_current_and_the_next_only_when_asked() -> None:
    save_context(OSLO, make_current=False)
    save_context(ROME, make_current=False)
    assert load_contexts().current == "oslo"
    save_context(ROME, make_current=True)
    assert load_contexts().current == "rome"
    save_context(OSLO, make_current=False)
    assert load_contexts().current == "rome"


def test_saving_again_replaces_and_keeps_the_others() -> None:
    save_context(OSLO, make_current=True)
    save_context(ROME, make_current=False)
    moved = Context(name="oslo", admin_urls=["https://d:4"], ca_certificate=b"\x31", store="keyring")
    save_context(moved, make_current=False)
    assert load_contexts().by_name == {"oslo": moved, "rome": ROME}


def test_another_one_can_be_made_current() -> None:
    save_context(OSLO, make_current=True)
    save_context(ROME, make_current=False)
    use_context("rome")
    assert find_context(None) == ROME


def test_removing_the_current_one_leaves_none_current() -> None:
    save_context(OSLO, make_current=True)
    save_context(ROME, make_current=False)
    remove_context("oslo")
    assert load_contexts() == Contexts(current="", by_name={"rome": ROME})
    with pytest.raises(NotLoggedIn):
        find_context(None)


def test_removing_another_one_leaves_the_current_one() -> None:
    save_context(OSLO, make_current=True)
    save_context(ROME, make_current=False)
    remove_context("rome")
    assert load_contexts() == Contexts(current="oslo", by_name={"oslo": OSLO})


def test_the_flag_wins_over_the_environment_and_that_over_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    paris = Context(name="paris", admin_urls=[], ca_certificate=b"", store="keyring")
    for context in (OSLO, ROME, paris):
        save_context(context, make_current=False)
    assert find_context(None) == OSLO
    monkeypatch.setenv("EDGECTL_CONTEXT", "rome")
    assert find_context(None) == ROME
    assert find_context("paris") == paris


def test_without_any_context_the_error_says_how_to_get_one() -> None:
    with pytest.raises(NotLoggedIn) as raised:
        find_context(None)
    assert raised.value.hint == "edgectl login, or edgectl demo up for a fleet on this machine"


def test_a_context_that_is_not_there_cannot_be_found_used_or_removed() -> None:
    save_context(OSLO, make_current=True)
    for ask in (find_context, use_context, remove_context):
        with pytest.raises(ContextNotFound, match="there is no context 'rome'"):
            ask("rome")
    assert load_contexts() == Contexts(current="oslo", by_name={"oslo": OSLO})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'"text"',
        b"\xff\xfe",
        b'{"contexts": []}',
        b'{"contexts": {"oslo": null}}',
        b'{"contexts": {"oslo": {}}}',
        b'{"contexts": {"oslo": {"admin_urls": 1, "ca_certificate": "", "store": "file"}}}',
        b'{"contexts": {"oslo": {"admin_urls": [], "ca_certificate": "A", "store": "file"}}}',
    ],
)
def test_a_damaged_file_is_named_and_left_alone(directory: Path, content: bytes) -> None:
    directory.mkdir()
    config_file().write_bytes(content)
    with pytest.raises(InvalidValue, match=r"config\.json is damaged") as raised:
        save_context(OSLO, make_current=True)
    assert raised.value.hint == "move it away and log in again"
    assert config_file().read_bytes() == content
