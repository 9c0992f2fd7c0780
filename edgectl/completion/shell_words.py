"""Words of a command line as a shell reads them, the last of which may not be finished. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple


class Word(NamedTuple):
    """One word: as it was typed, and what it means."""

    raw: str
    text: str


def split(line: str) -> list[Word]:
    """Cut a line into words; behind a blank at its end there is one more, which is empty."""
    words, start = [], 0
    for index, character, role in _read(line):
        if role is _Role.PLAIN and character.isspace():
            words.append(line[start:index])
            start = index + 1
    whole = [raw for raw in words if raw]
    return [Word(raw, unquote(raw)) for raw in [*whole, line[start:]]]


def unquote(raw: str) -> str:
    """What a word means, also when a quote in it is not closed."""
    return "".join(character for _, character, role in _read(raw) if role is not _Role.QUOTE)


def raw_head(raw: str, head: str) -> str:
    """The beginning of a typed word that means `head`."""
    return next((raw[:size] for size in range(len(head), len(raw) + 1) if unquote(raw[:size]) == head), raw)


def last_break(raw: str, breaks: str) -> int:
    """Where the part of a word begins that bash replaces: behind the last unquoted break character, or a quote."""
    begin = 0
    for index, character, role in _read(raw):
        is_quote = role is _Role.QUOTE and character != "\\"
        if is_quote or (role is _Role.PLAIN and character in breaks):
            begin = index + 1
    return begin


class _Role(Enum):
    PLAIN = auto()
    LITERAL = auto()
    """Quoted or escaped: it stands for itself."""
    QUOTE = auto()
    """A quote or a backslash that stands for nothing."""


def _read(text: str) -> Iterator[tuple[int, str, _Role]]:
    """Every character with its place and what it is to a shell."""
    quote, is_escaped = "", False
    for index, character in enumerate(text):
        if is_escaped:
            is_escaped = False
            yield index, character, _Role.LITERAL
        elif character == "\\" and _escapes(text[index + 1 : index + 2], quote):
            is_escaped = True
            yield index, character, _Role.QUOTE
        elif character == quote or (not quote and character in "'\""):
            quote = "" if quote else character
            yield index, character, _Role.QUOTE
        else:
            yield index, character, _Role.LITERAL if quote else _Role.PLAIN


def _escapes(following: str, quote: str) -> bool:
    """Whether a backslash is one; between double quotes it is so only before what is special there."""
    return not quote or (quote == '"' and following in '"\\$`')
