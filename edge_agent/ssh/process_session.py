"""Ending what programs of SSH began: all of one session of the kernel (setsid(2)) when a channel goes, and whatever
carries the mark of a connection when that goes, also what has begun a session of its own (`setsid`, tmux).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from edge_agent.runner import leftovers

MARK = "EDGE_SSH_SESSION_ID"
"""Environment variable that every program of a connection carries."""

_ROUND_SECONDS = 0.02
_KILL_ROUNDS = 50
_DEAD = frozenset("ZX")
"""States of what is over and merely not reaped."""


def members(session: int) -> list[int]:
    """Pids of what lives in a session, whose leader has not been reaped: else the number may be another's."""
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return [pid for pid in pids if _session_of(pid) == session]


def end(session: int, grace_seconds: float) -> None:
    """Hang up, and after the grace kill what is left. Blocks."""
    _end(lambda: members(session), grace_seconds)


def end_marked(session_id: str, grace_seconds: float) -> None:
    """The same for all that carries the mark of this connection. Blocks."""
    _end(lambda: leftovers.find_marked([session_id], MARK), grace_seconds)


def _end(find: Callable[[], list[int]], grace_seconds: float) -> None:
    deadline = time.monotonic() + grace_seconds
    left = find()
    for number in (signal.SIGHUP, signal.SIGCONT):  # what is stopped could not hear it
        _signal(left, number)
    while left and time.monotonic() < deadline:
        time.sleep(_ROUND_SECONDS)
        left = find()
    for _ in range(_KILL_ROUNDS):  # a dying tree may still fork
        if not left:
            break
        _signal(left, signal.SIGKILL)
        time.sleep(_ROUND_SECONDS)
        left = find()


def _session_of(pid: int) -> int:
    """The session of a live process (proc(5), field 6 of stat); 0 for what is dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in _DEAD else int(fields[3])


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
