"""Ending everything that runs in one session of the kernel (setsid(2)): a program, its children, their jobs.

What began a session of its own (`setsid`, tmux, a daemon) lives on, as users of SSH expect.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

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
    deadline = time.monotonic() + grace_seconds
    left = members(session)
    for number in (signal.SIGHUP, signal.SIGCONT):  # what is stopped could not hear it
        _signal(left, number)
    while left and time.monotonic() < deadline:
        time.sleep(_ROUND_SECONDS)
        left = members(session)
    for _ in range(_KILL_ROUNDS):  # a dying tree may still fork
        if not left:
            break
        _signal(left, signal.SIGKILL)
        time.sleep(_ROUND_SECONDS)
        left = members(session)


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
