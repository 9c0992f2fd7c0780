"""Programs that begin with as few open files as systemd gives them."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def few_open_files(soft: int) -> Iterator[int]:
    """What starts meanwhile may have so many, and take up to the number that it gives."""
    earlier, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        yield hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (earlier, hard))
