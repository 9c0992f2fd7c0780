"""The runner's directory: the lock that only one runner holds, the pid file, the spools. Standard library only."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path

from edge_agent.runner import leftovers

_POLL_SECONDS = 0.05


def lock(directory: Path, patience: float) -> bool:
    """Take the directory for the life of this process; False when another runner still has it after so many seconds."""
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True


def empty_spools(directory: Path) -> Path:
    """Where spools go; what an earlier runner had not delivered is lost with it."""
    spools = directory / "spool"
    spools.mkdir(mode=0o700, exist_ok=True)
    for path in spools.iterdir():
        path.unlink()
    return spools


def write_pid_file(directory: Path, instance_id: str) -> None:
    """Say which process this runner is; with a full disk nobody is told, rather than told of an earlier one."""
    facts = {
        "pid": os.getpid(),
        "start_ticks": leftovers.start_ticks(os.getpid()),
        "boot_id": leftovers.boot_id(),
        "instance_id": instance_id,
    }
    scratch, told = directory / ".pid", directory / "pid"
    try:
        scratch.write_text(json.dumps(facts))
        scratch.replace(told)
    except OSError:
        told.unlink(missing_ok=True)
