"""Tables that fit: columns as wide as what is in them, and on a terminal no wider than it is. No I/O."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]

_GAP = 2
_NARROWEST = 6
"""No column is shortened below this: less of a word says nothing."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table."""

    title: str
    show: Callable[[Row], str]
    is_wide: bool = False
    """Only with `-o wide`."""


def lines_of(rows: Sequence[Row], columns: Sequence[Column], *, width: int) -> list[str]:
    """The table, line by line; `width` is that of the terminal, 0 when there is none."""
    cells = [[item.title for item in columns], *([item.show(row) for item in columns] for row in rows)]
    widths = [max(width_of(line[index]) for line in cells) for index in range(len(columns))]
    if width:
        widths = fit(widths, kept=[_is_kept(index, item) for index, item in enumerate(columns)], width=width)
    lines = [_line(line, widths) for line in cells]
    return [shorten(line, width) for line in lines] if width else lines


def fit(widths: Sequence[int], *, kept: Sequence[bool], width: int) -> list[int]:
    """Widths with which a line fits: the widest columns give first, those that are kept never."""
    room = width - _GAP * (len(widths) - 1) - sum(size for size, is_kept in zip(widths, kept, strict=True) if is_kept)
    giving = [size for size, is_kept in zip(widths, kept, strict=True) if not is_kept]
    cap = _cap(giving, room)
    fitted = [size if is_kept else min(size, cap) for size, is_kept in zip(widths, kept, strict=True)]
    return _use_rest(fitted, widths, room - sum(min(size, cap) for size in giving))


def shorten(text: str, width: int) -> str:
    """At most so wide; what was taken away is an ellipsis."""
    if width_of(text) <= width:
        return text
    shown, used = "", 0
    for character in text:
        used += width_of(character)
        if used > width - 1:
            break
        shown += character
    return f"{shown}…"


def width_of(text: str) -> int:
    """How many places of a terminal it takes."""
    if text.isascii():
        return len(text)
    return sum(_width_of_one(character) for character in text)


def _is_kept(index: int, column: Column) -> bool:
    """What a row is called by is of no use in part."""
    return index == 0 or column.title == "ID"


def _cap(sizes: Sequence[int], room: int) -> int:
    """The largest width that all of them can be cut to so that they fit together."""
    cap = max(sizes, default=0)
    while cap > _NARROWEST and sum(min(size, cap) for size in sizes) > room:
        cap -= 1
    return cap


def _use_rest(fitted: list[int], wanted: Sequence[int], rest: int) -> list[int]:
    """Give the places that the common cap left over to columns that were cut, the first one first."""
    for index, size in enumerate(wanted):
        if rest > 0 and fitted[index] < size:
            fitted[index] += 1
            rest -= 1
    return fitted


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    shown = [shorten(cell, width) for cell, width in zip(cells, widths, strict=True)]
    padded = [cell + " " * (width - width_of(cell)) for cell, width in zip(shown, widths, strict=True)]
    return (" " * _GAP).join(padded).rstrip()


def _width_of_one(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
