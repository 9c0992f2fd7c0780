"""Checks which output goes through a pager, and through which one. What a person sees is in tests/system."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from edgectl import pager
from edgectl.invocation import Invocation, OutputFormat
from edgectl.output import column, emit_list

LINES = [f"edge{number:02}" for number in range(30)]
ROWS = [{"name": name} for name in LINES]


class Screen(io.StringIO):
    """What a program takes for a terminal."""

    def isatty(self) -> bool:
        return True


def sit_down(monkeypatch: pytest.MonkeyPatch, **environ: str) -> Screen:
    """A terminal of 80 columns and 24 lines; not a fixture, because pytest changes stdout before the test."""
    made = Screen()
    monkeypatch.setattr("sys.stdout", made)
    for name, value in {"COLUMNS": "80", "LINES": "24", "TERM": "xterm", **environ}.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture(autouse=True)
def no_wishes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EDGECTL_PAGER", "PAGER", "LESS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environ", "command"),
    [
        ({}, "less -FRX"),
        ({"PAGER": "more"}, "more"),
        ({"PAGER": "more", "EDGECTL_PAGER": "most -s"}, "most -s"),
        ({"PAGER": "more", "EDGECTL_PAGER": ""}, ""),
        ({"PAGER": "cat"}, ""),
        ({"TERM": "dumb"}, ""),
    ],
)
def test_the_environment_chooses_the_pager(
    monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str], command: str
) -> None:
    sit_down(monkeypatch, **environ)
    assert pager.choose() == command


def test_there_is_none_where_less_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sit_down(monkeypatch, PATH=str(tmp_path))
    assert pager.choose() == ""


@pytest.mark.parametrize(("lines", "answer"), [([], False), (LINES[:23], False), (LINES[:24], True)])
def test_only_what_does_not_fit_the_screen_is_long(
    monkeypatch: pytest.MonkeyPatch, lines: Sequence[str], answer: bool
) -> None:
    sit_down(monkeypatch)
    assert pager.is_too_long(lines) is answer


def test_a_pipe_is_never_too_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINES", "5")
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert not pager.is_too_long(LINES)


def test_a_long_list_goes_through_the_pager_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    screen = sit_down(monkeypatch, EDGECTL_PAGER=f"cat >{tmp_path}/taken")
    emit_list(Invocation(), ROWS, [column("NAME", "name")], empty="")
    assert (tmp_path / "taken").read_text().splitlines() == ["NAME", *LINES]
    assert screen.getvalue() == ""


@pytest.mark.parametrize(
    ("output", "is_unpaged", "count"),
    [("json", False, 30), ("jsonl", False, 30), ("text", True, 30), ("text", False, 5)],
)
def test_what_is_short_or_for_programs_or_not_to_be_paged_is_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, output: OutputFormat, is_unpaged: bool, count: int
) -> None:
    screen = sit_down(monkeypatch, EDGECTL_PAGER=f"cat >{tmp_path}/taken")
    invocation = Invocation(output=output, is_unpaged=is_unpaged)
    emit_list(invocation, ROWS[:count], [column("NAME", "name")], empty="")
    assert not (tmp_path / "taken").exists()
    assert screen.getvalue().count("edge") == count


@pytest.mark.parametrize("command", ["no-such-pager 2>/dev/null", "/dev/null 2>/dev/null"])
def test_a_pager_that_cannot_run_leaves_the_list_on_the_screen(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    screen = sit_down(monkeypatch, EDGECTL_PAGER=command)
    emit_list(Invocation(), ROWS, [column("NAME", "name")], empty="")
    assert screen.getvalue().count("edge") == 30


def test_a_pager_that_is_left_early_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    sit_down(monkeypatch, EDGECTL_PAGER="head -1 >/dev/null")
    assert pager.show([f"{'x' * 100}{number}" for number in range(100_000)])


def test_an_interrupt_is_the_pagers_while_it_runs_and_ours_again_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sit_down(monkeypatch, EDGECTL_PAGER=f"cat >/dev/null; kill -INT {os.getpid()}")
    assert pager.show(LINES)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
