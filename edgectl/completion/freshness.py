"""When the cache is asked for anew: always beside TAB, which waits for it only briefly and never fails for it."""

from __future__ import annotations

import os
from datetime import timedelta
from enum import Enum, auto
from pathlib import Path

from edgectl.completion.cache import age_of

FRESH_FOR = timedelta(seconds=15)
"""Younger than this nobody asks again."""
OLD_AFTER = timedelta(minutes=5)
"""Older than this it is worth a short wait."""
ASK_AGAIN_AFTER = timedelta(seconds=5)
"""After an attempt, whether it succeeded or not."""

WAIT_FOR_NEWER = timedelta(milliseconds=300)
WAIT_FOR_FIRST = timedelta(seconds=1)
"""Without any cache there would be nothing to offer; longer than this a TAB never waits."""


class Need(Enum):
    """What is to be done before the cache is read."""

    NOTHING = auto()
    ASK = auto()
    ASK_AND_WAIT = auto()


def need_of(*, cache_age: float, attempt_age: float) -> Need:
    """Decide by the seconds since the cache was written and since an admin was last asked."""
    if cache_age < FRESH_FOR.total_seconds() or attempt_age < ASK_AGAIN_AFTER.total_seconds():
        return Need.NOTHING
    return Need.ASK if cache_age < OLD_AFTER.total_seconds() else Need.ASK_AND_WAIT


def make_fresh(path: Path, context: str) -> None:
    """Have the cache of a context renewed beside us, when that is due."""
    asked = path.with_suffix(".asked")
    age = age_of(path)
    need = need_of(cache_age=age, attempt_age=age_of(asked))
    if need is Need.NOTHING:
        return
    _mark(asked)
    limit = WAIT_FOR_NEWER if age != float("inf") else WAIT_FOR_FIRST
    _start(context, wait=limit if need is Need.ASK_AND_WAIT else timedelta(0))


def _mark(asked: Path) -> None:
    """Note that an admin is asked now, so that many TABs ask once."""
    asked.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(asked, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    os.utime(asked)


def _start(context: str, *, wait: timedelta) -> None:
    import subprocess
    import sys

    process = subprocess.Popen(
        [sys.executable, "-m", "edgectl.completion.refresh", context],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C at the prompt is not meant for it
    )
    if wait:
        try:
            process.wait(wait.total_seconds())
        except subprocess.TimeoutExpired:
            return
