"""No output at all: only what happened counts."""

from __future__ import annotations

from collections.abc import Sequence

from edgectl.execution.sink import Piece
from edgectl.execution.tally import Happening
from edgectl.views.view import Result


class SilentView:
    """Shows nothing."""

    def show(self, happenings: Sequence[Happening]) -> list[Piece]:
        """Nothing."""
        return []

    def finish(self, result: Result) -> list[Piece]:
        """Nothing."""
        return []
