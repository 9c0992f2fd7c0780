"""Finding and ending processes that an execution left behind, by a mark in their environment. Standard library only."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

MARK = "EDGE_EXECUTION_ID"
"""Environment variable that every process of an execution carries."""

_ROUND_SECONDS = 0.05


def boot_id() -> str:
    """Changes at every boot of the machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot: with the pid it names one process. None when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def find_marked(ids: Collection[str]) -> list[int]:
    """Pids of live processes that carry one of these execution ids, this process excepted."""
    marks = {f"{MARK}={execution_id}".encode() for execution_id in ids}
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            environment = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
            if not marks.isdisjoint(environment):
                found.append(int(entry))
    return found


def end_marked(ids: Collection[str], grace_seconds: float) -> int:
    """End every process that carries one of these ids: SIGTERM, grace, SIGKILL. Returns how many there were. Blocks."""
    first = find_marked(ids)
    _signal(first, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while find_marked(ids) and time.monotonic() < deadline:
        time.sleep(_ROUND_SECONDS)
    for _ in range(20):  # a dying tree may still fork
        rest = find_marked(ids)
        if not rest:
            break
        _signal(rest, signal.SIGKILL)
        time.sleep(_ROUND_SECONDS)
    return len(first)


def _signal(pids: Collection[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
