"""Checks the help: the lines that stand in for commands are the commands' own, and every command has an example."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

import edgectl.commands
from edgectl.__main__ import run
from edgectl.app import COMMANDS, COMMON_OPTIONS


def leaves(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    """The commands below this one that do something."""
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, child in command.commands.items():
        yield from leaves(f"{path} {name}", child)


def app_of(name: str) -> typer.Typer:
    app = import_module(f"edgectl.commands.{COMMANDS[name].module}").app
    assert isinstance(app, typer.Typer)
    return app


EVERY_LEAF = [leaf for name in COMMANDS for leaf in leaves(name, typer.main.get_command(app_of(name)))]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_in_the_help_is_the_commands_own(name: str) -> None:
    assert COMMANDS[name].help == app_of(name).info.help


def test_every_module_of_commands_is_in_the_tree() -> None:
    [directory] = edgectl.commands.__path__
    modules = {path.stem for path in Path(directory).glob("*.py")} - {"__init__"}
    assert modules == {entry.module for entry in COMMANDS.values()}


@pytest.mark.parametrize(("path", "command"), EVERY_LEAF, ids=[path for path, _ in EVERY_LEAF])
def test_every_command_says_what_it_does_and_shows_an_example(path: str, command: Any) -> None:
    assert command.help
    assert "Example" in command.epilog
    assert f"edgectl {path}" in command.epilog


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    printed = capsys.readouterr()
    for name, entry in COMMANDS.items():
        assert f"  {name} " in printed.out
        assert entry.help in printed.out
    assert printed.err == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "-h"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: edgectl {name} ")


def test_a_command_that_does_not_exist_is_a_usage_error_that_says_where_to_look(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["nodes"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("edgectl: usage: No such command 'nodes'")
    assert printed.err.endswith("edgectl --help\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["node", "lst"], "No such command 'lst'. Did you mean 'list', 'set'? edgectl node --help"),
        (
            ["token", "create", "ci", "--role", "king"],
            (
                "Invalid value for '--role': 'king' is not one of"
                " 'admin', 'operator', 'viewer', 'metrics', 'proxy', 'mcp'. edgectl token create --help"
            ),
        ),
    ],
)
def test_a_mistake_is_said_in_one_plain_sentence(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    assert capsys.readouterr().err == f"edgectl: usage: {line}\n"


@pytest.mark.parametrize(
    ("words", "what"),
    [(["login", "--name", "A"], "a context name"), (["token", "create", "A", "--role", "mcp"], "a token name")],
)
def test_a_bad_name_is_called_what_it_is(words: list[str], what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    assert capsys.readouterr().err.startswith(f"edgectl: name_invalid: 'A' is not {what}: at most ")


def test_escapes_in_a_name_are_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["login", "--name", "\x1b[31m"]) == 2
    assert "'\\x1b[31m' is not" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["exec"], ["node", "list"], ["demo", "up"], ["version"]])
def test_the_help_of_each_command_names_what_all_have(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert " ".join(COMMON_OPTIONS.split()) in shown
