"""One execution that is not forgotten, and what the present session wants to hear of it."""

from __future__ import annotations

from dataclasses import dataclass, field

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

    @property
    def takes_input(self) -> bool:
        """Whether there is a process, as far as is known, that stdin and resizes can reach."""
        return self.is_handed_to_runner and self.entry.end is None
