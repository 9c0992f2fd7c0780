"""Checks how results and errors look: safe words and fitting tables for people, exact JSON for programs."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edge_wire import errors
from edge_wire.errors import EdgeError, Started
from edgectl.invocation import Invocation, OutputFormat
from edgectl.output import (
    column,
    emit_list,
    emit_object,
    error_line,
    error_object,
    fail,
    relative,
    text_of,
    time_column,
)

ROWS = [
    {"name": "web-1", "status": "online", "id": "0f8fad5b-d9cb-469f-a165-70867728950e"},
    {"name": "a-much-longer-name", "status": "offline", "id": "7c9e6679-7425-40de-944b-e07fc1f90ae7"},
]
COLUMNS = [column("NAME", "name"), column("STATUS", "status"), column("ID", "id", is_wide=True)]


class Terminal(io.StringIO):
    """What a program takes for a terminal."""

    def isatty(self) -> bool:
        return True


def ago(span: timedelta) -> str:
    return (datetime.now(UTC) - span).isoformat()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        ("", ""),
        ("plain", "plain"),
        ("two\nlines \x1b[31m", r"two\nlines \x1b[31m"),
        ([], ""),
        (["a", "b\r"], r"a,b\r"),
        (("a", 1), "a,1"),
        ({"site": "oslo", "role": "db\n"}, r"site=oslo,role=db\n"),
        ({}, ""),
    ],
)
def test_any_value_is_one_safe_word(value: object, shown: str) -> None:
    assert text_of(value) == shown


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(minutes=5, seconds=30), "5 min ago"),
        (timedelta(hours=3, minutes=30), "3 h ago"),
        (timedelta(days=2, hours=12), "2 d ago"),
        (timedelta(minutes=-5, seconds=-30), "in 5 min"),
        (timedelta(hours=-23, minutes=-30), "in 23 h"),
        (timedelta(days=-400, hours=-12), "in 400 d"),
    ],
)
def test_a_time_is_how_long_ago_or_how_soon(span: timedelta, said: str) -> None:
    assert relative(ago(span)) == said


def test_a_moment_ago_is_seconds() -> None:
    assert relative(ago(timedelta(0))).endswith(" s ago")
    assert relative(datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")).endswith(" s ago")


@pytest.mark.parametrize("text", [None, ""])
def test_no_time_is_a_dash(text: str | None) -> None:
    assert relative(text) == "–"


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        ("text", ["NAME                STATUS", "web-1               online", "a-much-longer-name  offline"]),
        (
            "wide",
            [
                "NAME                STATUS   ID",
                "web-1               online   0f8fad5b-d9cb-469f-a165-70867728950e",
                "a-much-longer-name  offline  7c9e6679-7425-40de-944b-e07fc1f90ae7",
            ],
        ),
    ],
)
def test_a_table_has_aligned_columns_and_more_of_them_when_wide(
    capsys: pytest.CaptureFixture[str], output: OutputFormat, lines: Sequence[str]
) -> None:
    emit_list(Invocation(output=output), ROWS, COLUMNS, empty="no nodes")
    assert capsys.readouterr().out.splitlines() == lines


def test_a_table_is_cut_to_fit_the_terminal_and_only_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "24")
    monkeypatch.setenv("LINES", "10")
    for screen, second_line in (
        (Terminal(), "a-much-longer-name  off…"),
        (io.StringIO(), "a-much-longer-name  offline"),
    ):
        monkeypatch.setattr("sys.stdout", screen)
        emit_list(Invocation(), ROWS, COLUMNS, empty="no nodes")
        assert screen.getvalue().splitlines()[2] == second_line


def test_a_value_cannot_break_out_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    emit_list(Invocation(), [{"name": "x\nNAME\x1b[2J"}], [column("NAME", "name")], empty="")
    assert capsys.readouterr().out == "NAME\nx\\nNAME\\x1b[2J\n"


def test_a_column_of_times_is_relative(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, Any]] = [{"seen": ago(timedelta(hours=3, minutes=30))}, {"seen": None}, {}]
    emit_list(Invocation(), rows, [time_column("SEEN", "seen")], empty="")
    assert capsys.readouterr().out.splitlines() == ["SEEN", "3 h ago", "–", "–"]


def test_programs_get_everything_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    emit_list(Invocation(output="json"), ROWS, COLUMNS, empty="")
    assert json.loads(capsys.readouterr().out) == ROWS
    emit_list(Invocation(output="jsonl"), ROWS, COLUMNS, empty="")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == ROWS


@pytest.mark.parametrize(
    ("output", "out", "err"), [("text", "", "no nodes\n"), ("json", "[]\n", ""), ("jsonl", "", "")]
)
def test_an_empty_list_is_a_word_to_people_and_an_empty_list_to_programs(
    capsys: pytest.CaptureFixture[str], output: OutputFormat, out: str, err: str
) -> None:
    emit_list(Invocation(output=output), [], COLUMNS, empty="no nodes")
    assert tuple(capsys.readouterr()) == (out, err)


def test_one_thing_is_shown_by_its_fields_without_empty_ones(capsys: pytest.CaptureFixture[str]) -> None:
    row: dict[str, Any] = {"schema": "x/v1", "name": "web-1", "path": None, "aliases": [], "count": 0, "labels": {}}
    emit_object(Invocation(), row)
    assert capsys.readouterr().out == "name             web-1\ncount            0\n"
    emit_object(Invocation(), row, text="made web-1")
    assert capsys.readouterr().out == "made web-1\n"
    emit_object(Invocation(output="jsonl"), row, text="made web-1")
    assert json.loads(capsys.readouterr().out) == row


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (errors.NodeNotFound("there is no node x"), "edgectl: node_not_found: there is no node x"),
        (errors.NotLoggedIn(hint="edgectl login"), "edgectl: not_logged_in: Not logged in. edgectl login"),
        (errors.Denied("two\nlines\x1b[m", hint="a\rb"), r"edgectl: denied: two\nlines\x1b[m. a\rb"),
        (errors.Internal("odd", request_id="r-7"), "edgectl: internal: odd (request r-7)"),
        (errors.Denied("no", request_id="r-7"), "edgectl: denied: no"),
    ],
)
def test_an_error_is_one_safe_line_with_what_to_type_next(error: EdgeError, line: str) -> None:
    assert error_line(error) == line


@pytest.mark.parametrize(
    ("started", "shown", "retryable"), [("yes", True, True), ("no", False, True), ("unknown", "unknown", False)]
)
def test_an_error_object_says_whether_it_is_safe_to_repeat(
    started: Started, shown: bool | str, retryable: bool
) -> None:
    error = errors.NodeOffline("edge11 is offline", hint="wait", started=started, request_id="r-7")
    assert error_object(error) == {
        "schema": "edgectl.error/v1",
        "code": "node_offline",
        "message": "edge11 is offline",
        "hint": "wait",
        "retryable": retryable,
        "started": shown,
        "request_id": "r-7",
    }


def test_a_failure_is_a_line_for_people_and_an_object_too_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    error = errors.NodeNotFound("there is no node x")
    assert fail(Invocation(), error) == 5
    assert tuple(capsys.readouterr()) == ("", "edgectl: node_not_found: there is no node x\n")
    assert fail(Invocation(output="json"), error) == 5
    printed = capsys.readouterr()
    assert json.loads(printed.out) == error_object(error)
    assert printed.err == "edgectl: node_not_found: there is no node x\n"
