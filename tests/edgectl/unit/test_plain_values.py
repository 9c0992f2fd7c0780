"""Values of options that are read without pydantic are those that Typer would make of them, and so are its refusals."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.core import TyperCommand

from edgectl.app import PlainCommand


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


def call(cls: type[TyperCommand], words: list[str]) -> tuple[int, Any]:
    """What a command is given for these words: its exit code, and its values or what it says against them."""
    seen: list[object] = []
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

    @app.command(cls=cls)
    def paint(
        names: Annotated[list[str] | None, typer.Argument()] = None,
        word: Annotated[str, typer.Option()] = "w",
        maybe: Annotated[str | None, typer.Option()] = None,
        many: Annotated[list[str] | None, typer.Option()] = None,
        color: Annotated[Color, typer.Option()] = Color.RED,
        loose: Annotated[Color, typer.Option(case_sensitive=False)] = Color.RED,
        count: Annotated[int | None, typer.Option(min=1, max=9)] = None,
        limit: Annotated[int, typer.Option()] = 50,
        share: Annotated[float, typer.Option()] = 0.5,
        path: Annotated[Path | None, typer.Option()] = None,
        there: Annotated[Path | None, typer.Option(exists=True)] = None,
        is_wet: Annotated[bool, typer.Option("--wet")] = False,
    ) -> None:
        seen.append((names, word, maybe, many, color, loose, count, limit, share, path, there, is_wet))

    command = typer.main.get_command(app)
    try:
        command.main(list(words), standalone_mode=False)
    except typer.TyperException as error:
        return 2, error.format_message()
    return 0, seen


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["a", "b", "--word", "x", "--maybe", "", "--many", "1", "--many", "2", "--wet"],
        ["--color", "blue", "--loose", "BLUE"],
        ["--count", "3", "--limit", "-7", "--share", "1.5"],
        ["--path", "/tmp", "--there", "/"],
        ["--color", "BLUE"],
        ["--color", "green"],
        ["--count", "0"],
        ["--count", "10"],
        ["--count", "three"],
        ["--count", " 3"],
        ["--limit", "1_000"],
        ["--limit", "1.0"],
        ["--limit", "99999999999999999999"],
        ["--there", "/nowhere/at/all"],
    ],
)
def test_the_same_values_and_the_same_refusals(words: list[str]) -> None:
    assert call(PlainCommand, words) == call(TyperCommand, words)
