"""Names for things that outlive a killed test run, so that a later run can find and remove them.

A name carries the process id of its maker; one whose maker is gone belongs to nobody.
"""

import os
import secrets
from collections.abc import Iterable

PREFIX = "edge-test"


def unique_name() -> str:
    """Return a new name that carries this process's id."""
    return f"{PREFIX}-{os.getpid()}-{secrets.token_hex(3)}"


def abandoned(names: Iterable[str]) -> list[str]:
    """Return the names among these that were made here by a process that is gone."""
    return [name for name in names if (pid := _maker(name)) is not None and not _is_running(pid)]


def _maker(name: str) -> int | None:
    head, _, rest = name.partition(f"{PREFIX}-")
    pid = rest.partition("-")[0]
    return int(pid) if not head and pid.isdecimal() else None


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
