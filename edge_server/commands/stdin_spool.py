"""Where stdin is kept until every node has it, so that the slowest one delays only itself.

On disk in segments that go when all have passed them; what is typed at a terminal is kept in memory only, because it
may be a password. Used from one task at a time per spool; methods that touch the disk are to be called off the loop.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

SEGMENT_BYTES = 16 * 1024 * 1024
KEPT_LIMIT = 1024 * 1024 * 1024
"""Bytes that one command may have waiting for its slowest node."""
_COMPLETE = "complete"


class Spool(Protocol):
    """Bytes by offset, from `base` to `end`."""

    @property
    def base(self) -> int: ...

    @property
    def end(self) -> int: ...

    @property
    def is_complete(self) -> bool: ...

    @property
    def limit(self) -> int: ...

    def append(self, data: bytes, *, is_last: bool) -> None: ...

    def read(self, offset: int, size: int) -> bytes: ...

    def trim(self, offset: int) -> None: ...


class MemorySpool:
    """Stdin of a terminal: what the node has not taken yet."""

    limit = SEGMENT_BYTES

    def __init__(self) -> None:
        self.base = 0
        self.is_complete = False
        self._data = bytearray()

    @property
    def end(self) -> int:
        """Offset of the next byte."""
        return self.base + len(self._data)

    def begin_at(self, offset: int) -> None:
        """Nothing is kept: what comes next has this offset."""
        if not self._data:
            self.base = offset

    def append(self, data: bytes, *, is_last: bool) -> None:
        """More."""
        self._data += data
        self.is_complete = is_last

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset` on."""
        return bytes(self._data[offset - self.base : offset - self.base + size])

    def trim(self, offset: int) -> None:
        """Everybody has what comes before."""
        until = min(offset, self.end)
        if until > self.base:
            del self._data[: until - self.base]
            self.base = until


class FileSpool:
    """Stdin that is broadcast: a directory of segments, named by their number."""

    limit = KEPT_LIMIT

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        segments = {int(path.name): path.stat().st_size for path in directory.iterdir() if path.name.isdecimal()}
        self.base = min(segments, default=0) * SEGMENT_BYTES
        self.end = max((number * SEGMENT_BYTES + size for number, size in segments.items()), default=0)
        self.is_complete = (directory / _COMPLETE).exists()

    def append(self, data: bytes, *, is_last: bool) -> None:
        """More. Raises OSError when the disk is full: then nothing of it counts."""
        rest, end = memoryview(data), self.end
        while rest:
            number, place = divmod(end, SEGMENT_BYTES)
            part = rest[: SEGMENT_BYTES - place]
            self._write(number, place, part)
            rest, end = rest[len(part) :], end + len(part)
        self.end = end
        if is_last:
            (self._directory / _COMPLETE).touch(mode=0o600)
            self.is_complete = True

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset` on; fewer at the end of a segment."""
        number, place = divmod(offset, SEGMENT_BYTES)
        with (self._directory / str(number)).open("rb") as file:
            file.seek(place)
            return file.read(min(size, self.end - offset, SEGMENT_BYTES - place))

    def trim(self, offset: int) -> None:
        """Everybody has what comes before."""
        while self.base + SEGMENT_BYTES <= min(offset, self.end):
            (self._directory / str(self.base // SEGMENT_BYTES)).unlink(missing_ok=True)
            self.base += SEGMENT_BYTES

    def _write(self, number: int, place: int, part: memoryview) -> None:
        descriptor = os.open(self._directory / str(number), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.seek(place)
            file.truncate()  # what a full disk left of an earlier try
            file.write(part)


class Spools:
    """The spools of all commands on this admin."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def open(self, command_id: str, *, is_terminal: bool) -> Spool:
        """The spool of a command, with what an earlier run of this admin kept."""
        return MemorySpool() if is_terminal else FileSpool(self._directory / command_id)

    def remove(self, command_id: str) -> None:
        """The command is over."""
        shutil.rmtree(self._directory / command_id, ignore_errors=True)

    def remove_others(self, command_ids: Collection[str]) -> None:
        """Remove what belongs to no open command."""
        if self._directory.is_dir():
            for path in self._directory.iterdir():
                if path.name not in command_ids:
                    self.remove(path.name)
