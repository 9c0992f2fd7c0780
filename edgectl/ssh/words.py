"""What is typed after `edgectl ssh`: the node among the options of ssh(1), which all go to ssh as they are. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_wire.errors import UsageError

FAILED = 255
"""Exit code of whatever is not the remote command's, as ssh has it."""

_FLAGS = frozenset("1246AaCfGgKkMNnqsTtVvXxYy")
_VALUED = frozenset("BbcDEeFIiJLlmOopQRSWw")


@dataclass(frozen=True, kw_only=True)
class SshWords:
    """One call of ssh."""

    node: str
    user: str
    """Empty when none was named."""
    options: Sequence[str]
    """Options of ssh, each with its value, without those that name the user or the port."""
    command: Sequence[str]
    """What to run, as ssh takes it; empty for a shell."""
    outlives_us: bool
    """ssh may go to the background, or leave a connection there for others."""


@dataclass(frozen=True, kw_only=True)
class _Option:
    letter: str
    value: str | None
    words: Sequence[str]


def read_words(words: Sequence[str], argv: Sequence[str] | None) -> SshWords:
    """Find the node. `argv` is what stood behind `--`. Raises UsageError."""
    rest = list(words)
    options = list(_take_options(rest))
    if not rest:
        raise UsageError("which node?", hint="edgectl ssh [USER@]NODE [ssh options] [-- ARGV...]")
    at, _, node = rest.pop(0).rpartition("@")
    options += _take_options(rest)
    if not node or node.startswith("-"):
        raise UsageError("the name of the node is missing", hint="edgectl ssh [USER@]NODE")
    named = [option.value or "" for option in options if option.letter == "l"]
    _refuse(options)
    return SshWords(
        node=node,
        user=at or next(iter(named), ""),
        options=[word for option in options if option.letter not in "lp" for word in option.words],
        command=[*rest, *_quoted(argv or ())],
        outlives_us=any(_outlives(option) for option in options),
    )


def _quoted(argv: Sequence[str]) -> Sequence[str]:
    """ssh joins words for a shell on the other side. One word is its text; several arrive as they are."""
    return argv if len(argv) <= 1 else [shlex.quote(word) for word in argv]


def _take_options(rest: list[str]) -> Iterator[_Option]:
    """The options at the beginning, taken out. Raises UsageError."""
    while rest and len(rest[0]) > 1 and rest[0].startswith("-"):
        word = rest.pop(0)
        if word.startswith("--"):
            raise UsageError(
                f"{word} is no option of ssh", hint="options of edgectl stand before ssh: edgectl --context NAME ssh"
            )
        yield from _take_one(word, rest)


def _take_one(word: str, rest: list[str]) -> Iterator[_Option]:
    """`-4v`, `-L8080:web:80`, `-tt`, `-o` with its value in the next word."""
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter in _FLAGS:
            yield _Option(letter=letter, value=None, words=[f"-{letter}"])
            continue
        if letter not in _VALUED:
            raise UsageError(f"-{letter} is no option of ssh", hint="edgectl ssh --help")
        if not letters and not rest:
            raise UsageError(f"-{letter} needs a value")
        value = letters or rest.pop(0)
        yield _Option(letter=letter, value=value, words=[f"-{letter}", value])
        return


def _refuse(options: Sequence[_Option]) -> None:
    for option in options:
        name = (option.value or "").replace("=", " ").split(" ")[0].lower() if option.letter == "o" else ""
        if option.letter == "J" or name in {"proxyjump", "proxycommand"}:
            raise UsageError(
                "edgectl ssh brings its own way to the node", hint="for ProxyJump: edgectl ssh-config, then plain ssh"
            )


def _outlives(option: _Option) -> bool:
    is_control = option.letter == "o" and (option.value or "").lower().startswith("control")
    return option.letter in "fMSO" or is_control
