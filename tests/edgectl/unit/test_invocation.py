"""Checks how a command line is cut: at the first `--`, and what holds for every command is taken out of it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_wire.errors import UsageError
from edgectl.__main__ import run
from edgectl.invocation import Invocation, split_arguments


def test_nothing_is_nothing() -> None:
    assert split_arguments([]) == (Invocation(), [])


@pytest.mark.parametrize(
    ("argv", "rest", "remote"),
    [
        (["exec", "web-1", "--", "uptime"], ["exec", "web-1"], ["uptime"]),
        (["exec", "web-1"], ["exec", "web-1"], None),
        (["exec", "--"], ["exec"], []),
        (["exec", "--", "a", "--", "b"], ["exec"], ["a", "--", "b"]),
        (["exec", "--", "-o", "json", "-q", "--debug"], ["exec"], ["-o", "json", "-q", "--debug"]),
        (["exec", "--", "", " ", "a b", "$HOME", "ä\n"], ["exec"], ["", " ", "a b", "$HOME", "ä\n"]),
    ],
)
def test_the_words_behind_the_first_dashes_are_the_nodes(
    argv: Sequence[str], rest: Sequence[str], remote: Sequence[str] | None
) -> None:
    invocation, found = split_arguments(argv)
    assert found == rest
    assert invocation.remote_argv == remote


@pytest.mark.parametrize(
    "argv",
    [
        ["-o", "json", "node", "list"],
        ["node", "-o", "json", "list"],
        ["node", "list", "--output", "json"],
        ["node", "list", "--output=json"],
        ["-o", "text", "node", "list", "-o", "json"],
    ],
)
def test_what_holds_for_every_command_may_stand_anywhere(argv: Sequence[str]) -> None:
    assert split_arguments(argv) == (Invocation(output="json"), ["node", "list"])


def test_every_common_word_is_understood() -> None:
    argv = ["--context", "oslo", "-o", "jsonl", "--color=never", "--debug", "-q", "node", "list"]
    assert split_arguments(argv) == (
        Invocation(context="oslo", output="jsonl", color="never", is_debug=True, is_quiet=True),
        ["node", "list"],
    )


def test_words_that_only_look_alike_stay() -> None:
    words = ["--contexts", "x", "--quietly", "-x", "--name=--debug", "-"]
    assert split_arguments(words) == (Invocation(), words)


@pytest.mark.parametrize("argv", [["--context"], ["--context="], ["-o"], ["--context", "--", "x"], ["--color", ""]])
def test_a_value_must_not_be_missing(argv: Sequence[str]) -> None:
    with pytest.raises(UsageError, match="needs a value"):
        split_arguments(argv)


@pytest.mark.parametrize("argv", [["-o", "yaml"], ["--output=JSON"], ["--color", "sometimes"]])
def test_an_unknown_choice_is_refused(argv: Sequence[str]) -> None:
    with pytest.raises(UsageError, match="must be one of"):
        split_arguments(argv)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.text()))
def test_what_runs_on_the_node_is_never_touched(remote: list[str]) -> None:
    invocation, rest = split_arguments(["exec", "web-1", "--", *remote])
    assert invocation.remote_argv == remote
    assert rest == ["exec", "web-1"]


@pytest.mark.parametrize(("output", "is_machine"), [("text", False), ("wide", False), ("json", True), ("jsonl", True)])
def test_json_is_for_machines(output: str, is_machine: bool) -> None:
    assert split_arguments(["-o", output])[0].is_machine == is_machine


@pytest.mark.parametrize(
    ("argv", "environment", "expected"),
    [
        ([], {}, False),
        ([], {"CLICOLOR_FORCE": "1"}, True),
        ([], {"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, False),
        ([], {"CLICOLOR_FORCE": "1", "NO_COLOR": ""}, True),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "never"], {"CLICOLOR_FORCE": "1"}, False),
    ],
)
def test_the_flag_decides_about_colour_then_the_environment_then_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    argv: Sequence[str],
    environment: dict[str, str],
    expected: bool,
) -> None:
    for name in ("NO_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert split_arguments(argv)[0].has_color() == expected
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "argv",
    [
        ["-o", "json", "--nonsense"],
        ["-o", "json", "nonsense"],
        pytest.param(
            ["-o", "json", "--color", "sometimes"],
        ),
    ],
)
def test_a_usage_error_is_an_object_for_machines(argv: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(argv) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("edgectl: usage: ")
    assert json.loads(printed.out)["code"] == "usage"
