"""Checks the demo's directory: it remembers what was started, says when it is damaged, and lets in one at a time."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from edge_wire.errors import DemoBusy, DirectoryNotWritable, InvalidValue
from edgectl.demo.layout import Layout, State, default_directory
from edgectl.demo.processes import Process

ADMIN = Process(pid=4000, start_ticks=123_456)
EDGE01 = Process(pid=4001, start_ticks=123_999)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "demo")


def test_the_directory_is_where_state_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_directory() == Path("/state/edgectl/demo")
    monkeypatch.setenv("XDG_STATE_HOME", "")
    assert default_directory() == Path("/home/me/.local/state/edgectl/demo")


def test_everything_is_below_the_one_directory() -> None:
    layout = Layout(Path("/demo"))
    assert layout.credential == Path("/demo/credential")
    assert layout.admin_data == layout.data_of("admin") == Path("/demo/admin")
    assert layout.data_of("edge01") == Path("/demo/edge01")
    assert layout.log_of("edge01") == Path("/demo/edge01.log")
    assert layout.key_of("edge01") == Path("/demo/edge01.key")


def test_nothing_was_started_where_there_is_no_file(layout: Layout) -> None:
    assert layout.load() == State(port=0, processes={})


def test_what_was_started_is_remembered_privately(layout: Layout) -> None:
    state = State(port=44100).with_process("admin", ADMIN).with_process("edge01", EDGE01)
    layout.save(state)
    assert layout.load() == State(port=44100, processes={"admin": ADMIN, "edge01": EDGE01})
    assert stat.S_IMODE((layout.root / "demo.json").stat().st_mode) == 0o600


def test_one_more_process_leaves_the_others_and_replaces_its_own() -> None:
    before = State(port=1, processes={"admin": ADMIN})
    assert before.with_process("edge01", EDGE01).processes == {"admin": ADMIN, "edge01": EDGE01}
    assert before.with_process("admin", EDGE01).processes == {"admin": EDGE01}
    assert before.processes == {"admin": ADMIN}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"port": 1}',
        b'{"port": "x", "processes": {}}',
        b'{"port": 1, "processes": []}',
        b'{"port": 1, "processes": {"admin": 4000}}',
        b'{"port": 1, "processes": {"admin": {"pid": 4000}}}',
    ],
)
def test_a_damaged_file_is_named_and_nothing_is_guessed(layout: Layout, content: bytes) -> None:
    layout.root.mkdir()
    (layout.root / "demo.json").write_bytes(content)
    with pytest.raises(InvalidValue, match=r"demo\.json is damaged") as raised:
        layout.load()
    assert raised.value.hint == "end its processes by hand and remove the directory"


def test_one_demo_at_a_time_works_in_a_directory(layout: Layout) -> None:
    with layout.held():
        assert stat.S_IMODE(layout.root.stat().st_mode) == 0o700
        with pytest.raises(DemoBusy, match="another edgectl demo works in"), layout.held():
            pytest.fail("two demos hold one directory")
    with layout.held():
        pass


def test_a_directory_is_let_go_after_a_failure(layout: Layout) -> None:
    with pytest.raises(ArithmeticError), layout.held():
        raise ArithmeticError
    with layout.held():
        pass


def test_an_error_of_the_work_inside_is_not_taken_for_another_demo(layout: Layout) -> None:
    with pytest.raises(BlockingIOError), layout.held():
        raise BlockingIOError


def test_a_directory_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DirectoryNotWritable, match="cannot be used") as raised,
        Layout(tmp_path / "file" / "demo").held(),
    ):
        pytest.fail("a directory was made inside a file")
    assert raised.value.hint == "edgectl demo up --dir DIR"
