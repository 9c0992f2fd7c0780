"""`--view grouped`: identical outputs once, with the set of nodes that wrote them, the largest group first.

What is identical is decided in `gathering`, how it is written in `group_text`. Everything goes to stdout, stderr of
nodes too: it is a report, and it is written when the command is over. Until then a terminal gets a preview, one line
per group, for as long as it takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from edge_wire.names import printable
from edgectl.execution.sink import Piece
from edgectl.execution.tally import Happening, Tally
from edgectl.node_sets import distinct_names
from edgectl.views.gathering import Gathering, Group
from edgectl.views.group_text import Look, Row, block, body, label, notes_of, one_line, table
from edgectl.views.view import STDOUT, Result

_PREVIEW_TEXT = 40
_PREVIEW_NAMES = 64
"""So many names of a group are folded while it grows; the rest is counted."""


class GroupedView:
    """Identical outputs once."""

    def __init__(self, *, tally: Tally, look: Look, gathering: Gathering | None = None) -> None:
        self._tally = tally
        self._look = look
        self._gathering = gathering or Gathering()

    def show(self, happenings: Sequence[Happening]) -> list[Piece]:
        """Nothing yet."""
        self._gathering.take(happenings)
        return []

    def preview(self, rows: int) -> list[str]:
        """The groups as they are now, in at most so many lines that are safe on a terminal."""
        hidden = self._gathering.group_count - rows
        shown = self._gathering.largest(rows - 1 if hidden > 0 else rows)
        texts = [_headline(group) for group in shown]
        width = max(map(len, texts), default=0)
        labels = [label(group, self._names, at_most=_PREVIEW_NAMES) for group in shown]
        lines = [f"{text:{width}}   {nodes}" for text, nodes in zip(texts, labels, strict=True)]
        return [*lines, f"and {hidden + 1} more groups"] if hidden > 0 else lines

    def finish(self, result: Result) -> list[Piece]:
        """All groups."""
        self._gathering.close(result.standings)
        groups = self._gathering.groups()
        labels = [label(group, self._names, notes) for group, notes in zip(groups, notes_of(groups), strict=True)]
        return [Piece(STDOUT, data) for data in self._written(groups, labels) if data]

    def _written(self, groups: Sequence[Group], labels: Sequence[str]) -> Iterator[bytes]:
        lines = [one_line(group) for group in groups]
        rows = [Row(text=line, label=text) for line, text in zip(lines, labels, strict=True) if line is not None]
        if len(rows) == len(groups):
            yield table(rows, self._look)
            return
        for group, text in zip(groups, labels, strict=True):
            yield from block(text, body(group), self._look)

    @cached_property
    def _names(self) -> dict[str, str]:
        """Asked for when there are groups: the set of targets does not change any more."""
        return distinct_names(item.target for item in self._tally.standings.values())


def _headline(group: Group) -> str:
    """The first words of what a group wrote."""
    said = group.stdout.data or group.stderr.data
    first, _, rest = said[:256].decode(errors="replace").strip("\n").partition("\n")
    text = printable(first.rstrip("\r"), _PREVIEW_TEXT)
    return f"{text} …" if rest else text or "(no output)"
