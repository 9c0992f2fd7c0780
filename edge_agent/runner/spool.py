"""The output of one stream until its end is acknowledged: a head and a ring behind it, in memory while it is small.

Offsets count from the first byte that the process wrote. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

MEMORY_LIMIT = 64 * 1024
"""Bytes of one stream that are kept in memory before a file is made."""


class Spool:
    """Keeps the first `head_limit` bytes and the last `ring_limit` bytes of a stream.

    `borrow` is asked once, when the head is full, how many more bytes the ring may have: see `lend`.
    """

    def __init__(
        self, path: Path | str, *, head_limit: int, ring_limit: int, borrow: Callable[[], int] = lambda: 0
    ) -> None:
        self._path = path
        self._borrow = borrow
        self._has_ring = False
        """Its place in the file is decided."""
        self._head_limit = head_limit
        self._ring_limit = ring_limit
        self._memory: bytearray | None = bytearray()
        self._file: int | None = None
        self._head_end = 0
        self._ring_start = 0
        self.end = 0
        """Offset of the next byte."""

    @property
    def kept_behind(self) -> int:
        """How much exact output keeps of what was sent: all that may be under way when a session or an admin dies.

        With a ring as it is by default that is twice the largest window of credit: one between node and admin, and as
        much on its way from there to whoever reads.
        """
        return self._ring_limit // 2

    def lend(self, least: int) -> int:
        """Give up what it does not use yet of its head and its ring, but `least` bytes of each; returns how much."""
        if self._has_ring:
            return 0
        head = min(self._head_limit, max(least, self.end))
        ring = min(self._ring_limit, least)
        given = self._head_limit - head + self._ring_limit - ring
        self._head_limit, self._ring_limit = head, ring
        return given

    def room(self, unread_from: int) -> int:
        """How many bytes may be added before one that was not read yet is overwritten."""
        first_unread = max(unread_from, self._head_end)
        if self.end < self._head_limit:
            return self._head_limit + self._ring_limit - self.end
        return self._ring_limit - (self.end - first_unread)

    def add(self, data: bytes | memoryview) -> None:
        """Add bytes; the oldest behind the head give way."""
        if self._memory is not None and self.end + len(data) <= min(MEMORY_LIMIT, self._head_limit):
            self._memory += data
            self.end += len(data)
            self._head_end = self.end
            return
        try:
            self._spill()
            self._write(data)
        except OSError:
            # The disk is full: the process goes on, these bytes become a gap.
            self.end += len(data)
            self._ring_start = self.end
        else:
            self.end += len(data)

    def read_into(self, buffer: memoryview, offset: int) -> tuple[int, int]:
        """Read from an offset on, or from the next one that is kept: (offset, how many bytes); none at the end."""
        offset = self.first_kept(offset)
        if offset >= self.end:
            return offset, 0
        limit = self._head_end if offset < self._head_end else self.end
        buffer = buffer[: limit - offset]
        if self._memory is None:
            return offset, self._read_file(buffer, offset)
        with memoryview(self._memory) as memory:
            buffer[:] = memory[offset : offset + len(buffer)]
        return offset, len(buffer)

    def first_kept(self, offset: int) -> int:
        """The first offset from this one on that is kept, or the end."""
        if offset < self._head_end:
            return offset
        return min(self.end, max(offset, self._ring_start))

    def close(self) -> None:
        """Let everything go."""
        self._memory = None
        if self._file is not None:
            os.close(self._file)
            self._file = None
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def _spill(self) -> None:
        if self._memory is None:
            return
        Path(self._path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(descriptor, self._memory, 0)
        except OSError:
            os.close(descriptor)
            raise
        self._file, self._memory = descriptor, None
        self._ring_start = self.end

    def _write(self, data: bytes | memoryview) -> None:
        assert self._file is not None
        offset = self.end
        view = memoryview(data)
        if offset < self._head_limit and self._head_end == offset:
            part = view[: self._head_limit - offset]
            _write_all(self._file, part, offset)
            self._head_end = self._ring_start = offset = offset + len(part)
            view = view[len(part) :]
        if view and not self._has_ring:
            self._has_ring = True
            self._ring_limit += self._borrow()
        if len(view) > self._ring_limit:
            offset += len(view) - self._ring_limit
            view = view[-self._ring_limit :]
        while view:
            place = (offset - self._head_limit) % self._ring_limit
            part = view[: self._ring_limit - place]
            self._ring_start = max(self._ring_start, offset + len(part) - self._ring_limit)
            _write_all(self._file, part, self._head_limit + place)
            offset += len(part)
            view = view[len(part) :]

    def _read_file(self, buffer: memoryview, offset: int) -> int:
        assert self._file is not None
        if offset < self._head_end:
            return os.preadv(self._file, [buffer], offset)
        place = (offset - self._head_limit) % self._ring_limit
        return os.preadv(self._file, [buffer[: self._ring_limit - place]], self._head_limit + place)


def _write_all(descriptor: int, data: bytearray | memoryview, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        offset += written
        view = view[written:]
