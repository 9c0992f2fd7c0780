"""One call of edgectl: what holds for every command, read from the command line and the environment once."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from edge_wire.errors import UsageError

OutputFormat = Literal["text", "wide", "json", "jsonl"]
ColorChoice = Literal["auto", "always", "never"]


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """What holds for every command."""

    context: str | None = None
    output: OutputFormat = "text"
    color: ColorChoice = "auto"
    is_debug: bool = False
    is_quiet: bool = False
    is_unpaged: bool = False
    """Long lists go to the terminal as they are."""
    remote_argv: Sequence[str] | None = None
    """What stood behind the first `--`; None when there was none."""

    @property
    def is_machine(self) -> bool:
        """Whether stdout is for programs."""
        return self.output in {"json", "jsonl"}

    def has_color(self) -> bool:
        """Whether stdout takes colour."""
        if self.color != "auto":
            return self.color == "always"
        if os.environ.get("NO_COLOR"):
            return False
        return bool(os.environ.get("CLICOLOR_FORCE")) or sys.stdout.isatty()


class CommonOption(NamedTuple):
    """An option that every command takes, wherever it stands."""

    names: tuple[str, ...]
    field: str
    help: str
    metavar: str = ""
    """What its value is called; empty for a flag."""
    choices: tuple[str, ...] = ()


COMMON_OPTIONS = (
    CommonOption(
        ("--context",), "context", "Which installation. Default: EDGECTL_CONTEXT, or the current context.", "NAME"
    ),
    CommonOption(
        ("--output", "-o"),
        "output",
        "How results are printed: for people, one document, or one object per line.",
        "FORMAT",
        get_args(OutputFormat),
    ),
    CommonOption(
        ("--color",), "color", "Colour; auto: on a terminal, unless NO_COLOR is set.", "WHEN", get_args(ColorChoice)
    ),
    CommonOption(("--quiet", "-q"), "is_quiet", "Say less on stderr."),
    CommonOption(("--no-pager",), "is_unpaged", "Do not show long lists in a pager (EDGECTL_PAGER, PAGER, or less)."),
    CommonOption(("--debug",), "is_debug", "Show where inside edgectl an error came from."),
)

SSH = "ssh"
"""The command behind which all words are ssh's: it has options `-o` and `-q` of its own."""

_VALUED = {name: option.field for option in COMMON_OPTIONS if option.metavar for name in option.names}
_FLAGS = {name: option.field for option in COMMON_OPTIONS if not option.metavar for name in option.names}


def split_arguments(argv: Sequence[str]) -> tuple[Invocation, list[str]]:
    """Cut argv at the first `--`, take out what holds for every command wherever it stands, and return the rest.

    Raises UsageError.
    """
    words, remote = _cut(argv)
    found: dict[str, str | bool] = {}
    rest: list[str] = []
    queue = iter(words)
    for word in queue:
        name, has_value, value = word.partition("=")
        if rest[:1] == [SSH]:
            rest.append(word)
        elif name in _VALUED and (has_value or word == name):
            value = value if has_value else next(queue, "")
            if not value:
                raise UsageError(f"{name} needs a value")
            found[_VALUED[name]] = value
        elif word in _FLAGS:
            found[_FLAGS[word]] = True
        else:
            rest.append(word)
    return _to_invocation(found, remote), rest


def guess_invocation(argv: Sequence[str]) -> Invocation:
    """What can be told of a command line that is not understood: the output format in which to say so."""
    words, _ = _cut(argv)
    joined = [word.partition("=")[2] for word in words if word.startswith(("-o=", "--output="))]
    apart = [value for word, value in itertools.pairwise(words) if word in {"-o", "--output"}]
    known = [value for value in [*joined, *apart] if value in get_args(OutputFormat)]
    return Invocation(output=known[-1] if known else "text")  # type: ignore[arg-type]  # checked in the line above


def _cut(argv: Sequence[str]) -> tuple[list[str], list[str] | None]:
    words = list(argv)
    if "--" not in words:
        return words, None
    cut = words.index("--")
    return words[:cut], words[cut + 1 :]


def _to_invocation(found: dict[str, str | bool], remote: list[str] | None) -> Invocation:
    for name, choices in (("output", get_args(OutputFormat)), ("color", get_args(ColorChoice))):
        if found.get(name, choices[0]) not in choices:
            raise UsageError(f"--{name} must be one of {', '.join(choices)}")
    return Invocation(remote_argv=remote, **found)  # type: ignore[arg-type]  # the words were checked above
