"""A disk of a few megabytes that a test fills to the last byte and frees again (needs root)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.leftovers import abandoned, unique_name

PLACE = Path("/tmp")
"""Not the user's temporary directory: PostgreSQL's account must be able to pass through it."""
MEGABYTES = 24


class SmallDisk:
    """A file system of its own at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Leave not one byte."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (1024 * 1024, 4096, 1):
                with suppress(OSError):  # no space left
                    while True:
                        file.write(bytes(size))

    def free(self) -> None:
        """Give back what `fill` took."""
        self._filler.unlink()


@contextmanager
def a_small_disk() -> Iterator[SmallDisk]:
    """Mount one; it is unmounted at the end."""
    for name in abandoned(path.name for path in PLACE.iterdir()):
        _remove(PLACE / name)
    path = PLACE / unique_name()
    path.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m,mode=0755", "none", path], check=True)
        yield SmallDisk(path)
    finally:
        _remove(path)


@pytest.fixture
def small_disk() -> Iterator[SmallDisk]:
    """An empty one for a test that is marked `root`."""
    with a_small_disk() as disk:
        yield disk


def _remove(path: Path) -> None:
    """Only a mount point is touched: the same names are used for other things."""
    if path.is_mount():
        subprocess.run(["umount", "--lazy", path], check=False)
        path.rmdir()
