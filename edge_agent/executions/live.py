"""One execution that is not forgotten, and what the present session wants to hear of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_agent.executions.journal_records import Entry


@dataclass
class Reporting:
    """What this attachment wants of one execution."""

    stdout_offset: int = 0
    stderr_offset: int = 0
    credit: int = 0
    round: int = 0
    is_drained: bool = False


@dataclass
class Live:
    """One execution that is not forgotten."""

    entry: Entry
    is_accepted: bool = False
    """It is in the journal."""
    is_leaving_line: bool = False
    """Taken out of the line; the journal is being told which runner gets it."""
    is_handed_to_runner: bool = False
    is_end_on_disk: bool = False
    stop_kill_after: float | None = None
    reporting: Reporting | None = field(default=None)

    @property
    def is_running(self) -> bool:
        """Whether it takes one of the places of what may run at once."""
        return (self.is_handed_to_runner or self.is_leaving_line) and self.entry.end is None

    def is_about_this_session(self, said: Mapping[str, Any]) -> bool:
        """Whether the runner says it in answer to the last resume, and not to one of an earlier session.

        Output that was under way when a session ended arrives behind the resume of the next one, and is sent again.
        """
        return self.reporting is not None and said.get("round", self.reporting.round) == self.reporting.round

    @property
    def takes_input(self) -> bool:
        """Whether there is a process, as far as is known, that stdin and resizes can reach."""
        return self.is_handed_to_runner and self.entry.end is None
