"""One execution in the runner: its process group, its spools, its stdin, its deadlines and its end.

Standard library only. Time is the monotonic clock in seconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import Any, Literal

from edge_agent.runner import leftovers
from edge_agent.runner.spool import Spool
from edge_agent.runner.stdin import Stdin

StreamName = Literal["stdout", "stderr"]
STREAMS: tuple[StreamName, ...] = ("stdout", "stderr")

CHUNK = 64 * 1024
"""So much is sent at once without waiting for more."""
MESSAGE = 256 * 1024
"""Bytes of output in one message to the agent at most: what is sent one by one costs more than what it carries."""
_GATHER_SECONDS = 0.02
_TERMINAL_GATHER_SECONDS = 0.002
"""Somebody waits for what they typed to appear."""
DRAIN_SECONDS = 1.0
"""After the main process is over, how long its output is still read."""
_HANG_UP_AGAIN_SECONDS = 0.5


@dataclass(slots=True)
class Output:
    """One stream of one execution."""

    spool: Spool
    pipe: int | None
    """What is read: a pipe or a terminal; None once that is over."""
    sent: int = 0
    """Offset of the next byte to send to the agent."""
    unsent_since: float | None = None
    has_gap: bool = False
    is_wide: bool = False
    """Its pipe was made larger: it writes much."""
    is_unwanted: bool = False
    """The agent wants none of it."""


@dataclass(slots=True)
class Execution:
    """One execution and everything that the runner knows of it."""

    id: str
    exact: bool
    kill_after: float
    outputs: dict[StreamName, Output]
    is_terminal: bool = False
    """All output is one stream, which ends when nothing has the terminal open any more."""
    stdin: Stdin | None = None
    process: subprocess.Popen[bytes] | None = None
    pidfd: int | None = None
    start_ticks: int = 0
    started_at: float = 0.0
    deadline: float | None = None
    stop_reason: Literal["", "timed_out", "cancelled"] = ""
    hang_up_again_at: float | None = None
    kill_at: float | None = None
    is_killed: bool = False
    exited_at: float | None = None
    drain_until: float | None = None
    end: dict[str, Any] | None = None
    is_start_told: bool = False
    is_end_told: bool = False
    is_drain_told: bool = False
    round: int = 0
    """Which resume of the agent is being served."""
    credit: int | None = None
    """Total that may have been sent since start or resume; None until the agent asks."""
    credited: int = 0
    """Total sent since start or resume."""

    @property
    def is_over(self) -> bool:
        """Whether the end is known."""
        return self.end is not None

    @property
    def gather_seconds(self) -> float:
        """Output waits this long for more before it is sent."""
        return _TERMINAL_GATHER_SECONDS if self.is_terminal else _GATHER_SECONDS

    def snapshot(self) -> dict[str, Any]:
        """What a new agent is told of it."""
        return {
            "id": self.id,
            "pid": self.process.pid if self.process else 0,
            "start_ticks": self.start_ticks,
            "ended": self.is_over,
        }

    # --- life ----------------------------------------------------------------------------------------------------

    def stop(self, reason: Literal["timed_out", "cancelled"], kill_after: float, now: float) -> None:
        """Begin to end the whole process group: SIGTERM now, SIGKILL after the grace.

        On a terminal SIGHUP comes first, as if it were closed: shells that somebody sits at ignore SIGTERM. It comes
        once more for the main process: bash only notes the first one when it is just about to read from the terminal.
        """
        if self.process is None or self.exited_at is not None or self.stop_reason:
            return
        self.stop_reason = reason
        self.kill_at = now + kill_after
        if self.is_terminal:
            self.signal_all(signal.SIGHUP)
            self.hang_up_again_at = now + _HANG_UP_AGAIN_SECONDS
        self.signal_all(signal.SIGTERM)

    def hang_up_again(self) -> None:
        """Tell the main process, which has not ended, that its terminal is gone."""
        assert self.process is not None
        self.hang_up_again_at = None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.process.pid, signal.SIGHUP)

    def signal_all(self, number: signal.Signals) -> None:
        """Signal the process group and everything that carries this execution's mark."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)
        for pid in leftovers.find_marked({self.id}):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def note_exit(self, now: float) -> None:
        """The main process is over; its output is drained for a moment."""
        assert self.process is not None
        self.process.wait()
        self.exited_at = now
        self.drain_until = now + DRAIN_SECONDS

    @property
    def has_company(self) -> bool:
        """Whether others of its process group live on after the main process."""
        assert self.process is not None
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return leftovers.has_live_member(self.process.pid)

    def finish(self, *, held_open: bool) -> None:
        """State the end."""
        assert self.process is not None
        assert self.exited_at is not None
        code = self.process.wait()
        self.end = {
            "stop_reason": self.stop_reason,
            "exit_code": code if code >= 0 else None,
            "signal": _signal_name(-code) if code < 0 else "",
            "duration": self.exited_at - self.started_at,
            "held_open": held_open,
            "error_code": "",
            "error_message": "",
            "started": True,
        }

    def fail(self, code: str, message: str, exit_code: int | None) -> None:
        """State that there never was a process."""
        self.end = {
            "stop_reason": "",
            "exit_code": exit_code,
            "signal": "",
            "duration": None,
            "held_open": False,
            "error_code": code,
            "error_message": message,
            "started": False,
        }

    def end_fields(self) -> dict[str, Any]:
        """The end as it is sent, with the byte counts."""
        assert self.end is not None
        counts = {f"{name}_bytes": self.outputs[name].spool.end for name in STREAMS}
        return {**self.end, **counts, "truncated": any(output.has_gap for output in self.outputs.values())}

    def close(self) -> None:
        """Let everything go."""
        for output in self.outputs.values():
            output.spool.close()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


def monotonic() -> float:
    """Seconds of the clock that all deadlines use."""
    return time.monotonic()
