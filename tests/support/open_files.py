"""Few files may be open: in this process, and in what it starts meanwhile."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def few_open_files(soft: int) -> Iterator[int]:
    """So many at most; gives the number up to which what starts meanwhile may take more."""
    earlier, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        yield hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (earlier, hard))
