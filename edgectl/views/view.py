"""What a view is: it turns what happens into bytes for stdout and stderr, and writes nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from edge_wire.errors import EdgeError
from edgectl.execution.sink import Piece
from edgectl.execution.tally import Happening, Standing

STDOUT = 1
STDERR = 2


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a whole exec ended."""

    command_id: str
    counts: Mapping[str, int]
    standings: Sequence[Standing]
    exit_code: int
    elapsed: timedelta
    stop_reason: str | None = None
    """Why the command was stopped before its time: `cancelled`, `max_errors`, `deadline`."""
    failure: EdgeError | None = None
    """What edgectl itself has to say, such as an offline node in one-node mode."""


class View(Protocol):
    """One way of showing an exec."""

    def show(self, happenings: Sequence[Happening]) -> list[Piece]:
        """What to write about these."""

    def finish(self, result: Result) -> list[Piece]:
        """What to write at the end."""
