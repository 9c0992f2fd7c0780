"""Login shells of tests read what this machine's account has in its .bashrc, and may be killed in the middle of it.

pyenv takes a lock there that a killed shell leaves behind; every later login would wait a minute for it.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

_LOCK = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "shims" / ".pyenv-shim"
_HELD_AT_MOST = 5.0
"""Seconds that pyenv holds it, at its slowest."""


@pytest.fixture(autouse=True)
def no_stale_lock() -> None:
    """Remove what an earlier test's killed login left behind."""
    with suppress(OSError):
        if time.time() - _LOCK.stat().st_mtime > _HELD_AT_MOST:
            _LOCK.unlink()
