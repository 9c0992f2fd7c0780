"""Processes that the demo started: how they are started, known again, and ended. Nothing else is ever touched.

A pid alone may be another program's by now; with the start time it names one process (proc(5), field 22 of stat).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "PYTHONPATH", "VIRTUAL_ENV", "LD_PRELOAD", "FAKETIME")
_LOOK_EVERY = 0.05


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process of the demo."""

    pid: int
    start_ticks: int

    @property
    def is_running(self) -> bool:
        """Whether this very process is alive; a zombie is not."""
        return self.start_ticks != 0 and start_ticks(self.pid) == self.start_ticks


def start(module: str, arguments: Sequence[str], *, environ: Mapping[str, str], log: Path) -> Process:
    """Start one of our programs in a session of its own. Its settings come from `environ` alone, not from ours."""
    inherited = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**inherited, **environ},
        )
    return Process(pid=process.pid, start_ticks=start_ticks(process.pid))


def stop(processes: Iterable[Process], *, grace: timedelta) -> None:
    """SIGTERM to all, then SIGKILL to those that are still there after `grace`; returns when all are gone."""
    waiting = [process for process in processes if process.is_running]
    _signal(waiting, signal.SIGTERM)
    if not _wait_until_gone(waiting, grace):
        _signal(waiting, signal.SIGKILL)
        _wait_until_gone(waiting, timedelta(seconds=10))


def start_ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 when there is none or only its exit status is left."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    # The name in brackets may hold anything, also spaces and brackets.
    state, *rest = text.rpartition(")")[2].split()
    return 0 if state in {"Z", "X"} else int(rest[18])


def _signal(processes: Iterable[Process], number: signal.Signals) -> None:
    for process in processes:
        if process.is_running:
            try:
                os.kill(process.pid, number)
            except ProcessLookupError:
                continue


def _wait_until_gone(processes: Sequence[Process], grace: timedelta) -> bool:
    deadline = time.monotonic() + grace.total_seconds()
    while any(process.is_running for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_EVERY)
    return True
