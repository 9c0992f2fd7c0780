"""Node names for people: many become `edge[01-06,08-40]`, which can be typed again as a selector.

Only names that count up are folded: a prefix, decimal digits, perhaps more of both. Names made of ids (UUIDs, hex
suffixes) would cost time and only get harder to read, so they are listed; a line shows some and says how many more
there are. ClusterShell does the ranges. Its node sets would do the rest too, but for thousands of names they take
several times as long, and they obey a configuration file of the user's that has nothing to do with us.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from edge_wire.names import printable
from edge_wire.v1 import command_pb2 as pb

LINE_LIMIT = 480
"""Characters of names in one line for people."""

_SAFE = re.compile(r"[A-Za-z0-9._-]{1,200}")
_DIGITS = re.compile(r"(\d+)")
_ID_LIKE = re.compile(r"\d{8,}|(?<![A-Za-z0-9])(?=[0-9a-f]*\d[a-f])[0-9a-f]{6,}(?![A-Za-z0-9])")
"""Long numbers, and hex words in which a letter follows a digit; `edge01` and `decade01` are neither."""
_MOST_AXES = 4
"""Numbers in a name that still counts up: `rack1-edge01`, `ip-10-0-3-17`."""
_SAMPLE = 16


@dataclass(frozen=True)
class _Piece:
    """One word of a set, and how many names it stands for."""

    text: str
    count: int


def distinct_names(targets: Iterable[pb.Target]) -> dict[str, str]:
    """What to call each execution's node, by execution id: its name, with the cluster where two share one."""
    known = list(targets)
    uses = Counter(target.node_name for target in known)
    return {
        target.execution_id: f"{target.node_name}.{target.cluster}" if uses[target.node_name] > 1 else target.node_name
        for target in known
    }


def fold(names: Iterable[str]) -> str:
    """All of them, in one word: `db,edge[01-06,08-40]`."""
    return _join(_pieces(sorted(names)))


def fold_briefly(names: Iterable[str], *, at_most: int | None = None) -> str:
    """As many as a line takes, `a,b,c and 36 more`; only the first `at_most` are looked at."""
    known = sorted(names)
    pieces = _pieces(known[:at_most])
    if any(len(piece.text) > LINE_LIMIT for piece in pieces):
        pieces = _pieces(known[:_SAMPLE])
    shown = list(_fitting(pieces))
    left = len(known) - sum(piece.count for piece in shown)
    return _join(shown) + (f" and {left} more" if left else "")


def _fitting(pieces: Sequence[_Piece]) -> Iterator[_Piece]:
    room = LINE_LIMIT
    for index, piece in enumerate(pieces):
        room -= len(piece.text) + 1
        if room < 0 and index:
            return
        yield piece


def _join(pieces: Iterable[_Piece]) -> str:
    return ",".join(piece.text for piece in pieces)


def _pieces(names: Sequence[str]) -> list[_Piece]:
    """The words of the set of these sorted names."""
    regular: list[list[str]] = []
    others: list[str] = []
    for name in names:
        parts = _numbered_parts(name)
        if parts:
            regular.append(parts)
        else:
            others.append(name)
    if len(others) > len(regular):  # a fleet of ids: the few that happen to look regular are ids too
        return [_Piece(printable(name), 1) for name in names]
    folded = [*_fold_axes(regular), *(_Piece(printable(name), 1) for name in others)]
    return sorted(folded, key=lambda piece: piece.text)


def _numbered_parts(name: str) -> list[str]:
    """`rack1-edge01` as `rack`, `1`, `-edge`, `01` and the empty rest; empty when the name does not count up."""
    if not _SAFE.fullmatch(name) or _ID_LIKE.search(name):
        return []
    parts = _DIGITS.split(name)
    return parts if len(parts) // 2 <= _MOST_AXES else []


def _fold_axes(names: Sequence[list[str]]) -> list[_Piece]:
    """Fold along the last number of the names, then along the one before it, and so on."""
    found = {tuple(parts): 1 for parts in names}
    for axis in range(2 * _MOST_AXES - 1, 0, -2):
        found = _fold_axis(found, axis)
    return [_Piece("".join(parts), count) for parts, count in found.items()]


def _fold_axis(counts: dict[tuple[str, ...], int], axis: int) -> dict[tuple[str, ...], int]:
    """Names that are the same but for one number become one. Their counts are equal, since all else is."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for parts in counts:
        if axis < len(parts):
            rows.setdefault((*parts[:axis], "", *parts[axis + 1 :]), []).append(parts[axis])
    found = {parts: count for parts, count in counts.items() if axis >= len(parts)}
    for row, numbers in rows.items():
        before, after = row[:axis], row[axis + 1 :]
        count = counts[(*before, numbers[0], *after)]
        found[(*before, _ranges(numbers), *after)] = count * len(numbers)
    return found


def _ranges(numbers: Sequence[str]) -> str:
    if len(numbers) == 1:
        return numbers[0]
    from ClusterShell.RangeSet import RangeSet  # here: it is not needed to start

    return f"[{RangeSet.fromlist(numbers)}]"
