"""`--view summary`: no output, only who ended how; the best outcome first, and of each the most frequent reason."""

from __future__ import annotations

from collections.abc import Sequence

from edgectl.execution.sink import Piece
from edgectl.execution.tally import OUTCOMES, Happening, Standing
from edgectl.node_sets import distinct_names, fold_briefly
from edgectl.views.group_text import Look, Row, table
from edgectl.views.summary import reason
from edgectl.views.view import STDOUT, Result


class OutcomesView:
    """Who ended how."""

    def __init__(self, *, look: Look) -> None:
        self._look = look

    def show(self, happenings: Sequence[Happening]) -> list[Piece]:
        """Nothing."""
        return []

    def finish(self, result: Result) -> list[Piece]:
        """One line per outcome and reason."""
        names = distinct_names(item.target for item in result.standings)
        found: dict[tuple[int, str], list[str]] = {}
        for item in result.standings:
            found.setdefault((_place(item), reason(item)), []).append(names[item.target.execution_id])
        ranked = sorted(found.items(), key=lambda entry: (entry[0][0], -len(entry[1]), entry[0][1]))
        rows = [
            Row(text=why.encode(), label=f"{fold_briefly(members)} ({len(members)})") for (_, why), members in ranked
        ]
        return [Piece(STDOUT, table(rows, self._look))] if rows else []


def _place(item: Standing) -> int:
    return OUTCOMES.index(item.outcome) if item.outcome else len(OUTCOMES)
