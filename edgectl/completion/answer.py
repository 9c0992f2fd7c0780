"""`edgectl __complete`: what the completion scripts call at TAB. Prints candidates in the shell's own form, or nothing.

The first line says what kind of answer it is, and for zsh and fish how much of the typed word stays; the others are
candidates. Imports neither Typer nor gRPC, and whatever fails is silence: an error text in a prompt helps nobody.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge_wire.names import printable
from edgectl.completion import shell_words
from edgectl.completion.candidates import Answer, complete
from edgectl.completion.installation import Installation

HELP_LIMIT = 80


def answer(argv: Sequence[str]) -> int:
    """Answer one TAB: the name of the shell, and what its script passes on. Returns the exit code."""
    try:
        shell, *rest = argv
        lines = _ANSWERS[shell](*rest)
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
    except Exception:  # see the file's docstring
        return 1
    return 0


def for_bash(line: str, breaks: str) -> list[str]:
    """The line up to the cursor, and $COMP_WORDBREAKS: bash replaces only what is behind the last of those."""
    _program, *before, typed = shell_words.split(line)
    found = _complete([word.text for word in before], typed.text)
    head = shell_words.raw_head(typed.raw, found.head)
    begin = shell_words.last_break(typed.raw, breaks)
    return [_kind(found, " open"), *(f"{head}{item.value}"[begin:] for item in found.candidates)]


def for_zsh(typed: str, *words: str) -> list[str]:
    """What of the word is before the cursor, as typed, and the words before it without quotes; for `_describe`."""
    found = _complete(words, shell_words.unquote(typed))
    head = shell_words.raw_head(typed, found.head)
    values = [item.value.replace(":", "\\:") for item in found.candidates]
    helps = [printable(item.help, HELP_LIMIT).replace("\\", "\\\\") for item in found.candidates]
    lines = [f"{value}:{text}" if text else value for value, text in zip(values, helps, strict=True)]
    return [f"{'open' if found.is_open else _kind(found)} {len(head)}", *lines]


def for_fish(typed: str, *words: str) -> list[str]:
    """The word as typed up to the cursor, and the words before it; whole words, for fish to quote, with their help."""
    found = _complete(words, shell_words.unquote(typed))
    lines = [f"{found.head}{item.value}\t{printable(item.help, HELP_LIMIT)}" for item in found.candidates]
    return [f"{_kind(found)} {len(shell_words.raw_head(typed, found.head))}", *lines]


def _complete(words: Sequence[str], typed: str) -> Answer:
    return complete(_tree(), words, typed, Installation)


def _kind(found: Answer, when_open: str = "") -> str:
    return found.paths or (f"values{when_open}" if found.is_open else "values")


def _tree() -> Any:
    return json.loads((Path(__file__).parent / "words.json").read_text(encoding="utf-8"))


_ANSWERS: dict[str, Callable[..., list[str]]] = {"bash": for_bash, "zsh": for_zsh, "fish": for_fish}
