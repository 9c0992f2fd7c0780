"""Finding and ending processes that an execution left behind, by a mark in their environment. Standard library only."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
from collections.abc import Collection, Mapping
from pathlib import Path

MARK = "EDGE_EXECUTION_ID"
"""Environment variable that every process of an execution carries."""

_ROUND_SECONDS = 0.05
_STAT_BYTES = 4096
"""More than proc(5) ever says in `stat`."""
_DEAD = frozenset("ZX")
"""Process states of what is over."""


@functools.cache
def boot_id() -> str:
    """Changes at every boot of the machine, which no process outlives."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot: with the pid it names one process. None when it is gone."""
    fields = _stat_fields(pid)
    return int(fields[19]) if fields else None


def find_marked(ids: Collection[str], mark: str = MARK) -> list[int]:
    """Pids of live processes that carry one of these ids in this variable, this process excepted."""
    marks = {f"{mark}={one}".encode() for one in ids}
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            environment = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
            if not marks.isdisjoint(environment):
                found.append(int(entry))
    return found


def find_members(groups: Mapping[int, int]) -> list[int]:
    """Pids of live processes in these groups (leader's pid → its start ticks), zombies excepted.

    Only groups whose leader is still the very process that was started: another number may be somebody else's by now.
    """
    ours = {pid for pid, ticks in groups.items() if start_ticks(pid) == ticks}
    found = []
    for entry in os.listdir("/proc") if ours else []:
        if entry.isdigit():
            state, group = _state_and_group(int(entry))
            if group in ours and state not in _DEAD:
                found.append(int(entry))
    return found


def has_live_member(group: int) -> bool:
    """Whether anything of a process group lives on; what is dead and merely not reaped does not count."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            state, found = _state_and_group(int(entry))
            if found == group and state not in _DEAD:
                return True
    return False


def end_all(ids: Collection[str], groups: Mapping[int, int], grace_seconds: float) -> int:
    """End every process that carries one of these ids or is in one of these groups: SIGTERM, grace, SIGKILL.

    Returns how many there were. Blocks.
    """

    def find() -> set[int]:
        return {*find_marked(ids), *find_members(groups)}

    first = find()
    _signal(first, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while find() and time.monotonic() < deadline:
        time.sleep(_ROUND_SECONDS)
    for _ in range(20):  # a dying tree may still fork
        rest = find()
        if not rest:
            break
        _signal(rest, signal.SIGKILL)
        time.sleep(_ROUND_SECONDS)
    return len(first)


def _state_and_group(pid: int) -> tuple[str, int]:
    """State and process group (proc(5), fields 3 and 5 of stat); zeros when it is gone."""
    fields = _stat_fields(pid)
    return (fields[0], int(fields[2])) if fields else ("X", 0)


def _stat_fields(pid: int) -> list[str]:
    """What is said of a process from its state on, proc(5); empty when it is gone. Every start asks: so no `Path`."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        stat = os.read(descriptor, _STAT_BYTES)
    except OSError:
        return []
    finally:
        os.close(descriptor)
    return stat.rpartition(b")")[2].decode().split()


def _signal(pids: Collection[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
