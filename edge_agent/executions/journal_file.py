"""The journal's file on the disk: appended to, cut, and written anew. Everything here blocks.

The file is longer than what was written to it: what is written over zeros that are on the disk already needs no change
of the file's size there, and so costs one write of the disk instead of the several of a file system's own journal.
Readers take the zeros for a last line that a crash tore.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_AHEAD = 64 * 1024
"""Bytes of zeros that are laid down at once."""


class JournalFile:
    """The file `path`, once `replace` or `go_on` has opened it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._laid_down = 0
        """Where the file ends."""
        self.size = 0
        """Where what was written ends."""

    @property
    def is_open(self) -> bool:
        """Whether it can be appended to."""
        return self._descriptor is not None

    def append(self, data: bytes, *, is_synced: bool) -> None:
        """Append all of it or nothing; on the disk when it returns, if asked for.

        Raises OSError; the file may not be open any more then.
        """
        assert self._descriptor is not None
        try:
            if self.size + len(data) > self._laid_down:
                self._lay_down(self._descriptor, self.size + len(data))
            _write_fully(self._descriptor, data, self.size)
            if is_synced:
                os.fdatasync(self._descriptor)
        except OSError:
            self._cut()
            raise
        self.size += len(data)
        self._laid_down = max(self._laid_down, self.size)

    def replace(self, data: bytes) -> None:
        """Write the file anew; the old one is there until the new one is on the disk.

        Raises OSError; the file may not be open any more then.
        """
        scratch = self._path.with_name(f"{self._path.name}.new")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_fully(descriptor, data, 0)
            os.fsync(descriptor)
            scratch.replace(self._path)
        except OSError:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                scratch.unlink()  # it would take the space that the old file needs
            raise
        self._let_go()
        self._descriptor, self.size, self._laid_down = descriptor, len(data), len(data)
        try:
            sync_directory(self._path.parent)
        except OSError:
            self._let_go()  # after a power loss the old file might be back: nothing may be promised in the new one
            raise

    def go_on(self, size: int) -> None:
        """Append to the file that is there, behind so many bytes; if that cannot be, it is not open."""
        with contextlib.suppress(OSError):
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            self.size = size
            self._cut()

    def close(self) -> None:
        """Leave nothing behind what was written."""
        if self._descriptor is not None:
            self._cut()
        self._let_go()

    def _lay_down(self, descriptor: int, least: int) -> None:
        """Zeros up to beyond `least`, as far as the disk takes them; what follows is written without, then."""
        end = least + _AHEAD
        try:
            _write_fully(descriptor, bytes(end - self.size), self.size)
        except OSError:
            os.ftruncate(descriptor, self.size)
        else:
            self._laid_down = end

    def _cut(self) -> None:
        """Take back what is behind what was written; if even that is impossible, nothing more is appended."""
        assert self._descriptor is not None
        try:
            os.ftruncate(self._descriptor, self.size)
        except OSError:
            self._let_go()
        else:
            self._laid_down = self.size

    def _let_go(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def sync_directory(directory: Path) -> None:
    """Have the names in a directory on the disk. Raises OSError."""
    descriptor = os.open(directory, os.O_DIRECTORY | os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_fully(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        offset += written
        view = view[written:]
