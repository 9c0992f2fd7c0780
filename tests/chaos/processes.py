"""Looking at processes through /proc: children, environments, and ending what carries our mark."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path


def with_variable(name: str, value: str) -> Iterator[int]:
    """Pids of live processes that have this very variable in their environment, this process excepted."""
    wanted = f"{name}={value}".encode()
    for pid in _pids():
        with suppress(OSError):
            if pid != os.getpid() and wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                yield pid


def variable(pid: int, name: str) -> str:
    """One variable of a process; empty when it has none or is gone."""
    with suppress(OSError):
        for pair in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            key, _, value = pair.partition(b"=")
            if key == name.encode():
                return value.decode(errors="replace")
    return ""


def family(pid: int) -> list[int]:
    """A process and its children."""
    return [pid, *(other for other in _pids() if _parent(other) == pid)]


def command_line(pid: int) -> str:
    """What a process was called with; empty when it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Signal processes; those that are gone do not matter."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _pids() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
