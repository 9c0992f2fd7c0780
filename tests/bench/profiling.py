"""A profile of a helper process or of the admin, when BENCH_PROFILE names a directory."""

from __future__ import annotations

import cProfile
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def maybe() -> Iterator[None]:
    """Profile what is inside and leave the statistics in that directory, one file per process."""
    directory = os.environ.get("BENCH_PROFILE")
    if not directory:
        yield
        return
    profile = cProfile.Profile()
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
        profile.dump_stats(Path(directory) / f"{os.getpid()}.prof")
