"""Our side of stdin: read in a thread, numbered by offset, and kept until the admin has it, to be sent again.

A regular file can be read again from its beginning, for an admin that lost what it had; a pipe or a terminal cannot.
"""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

from edge_wire.errors import StreamBroken, UsageError
from edge_wire.v1 import command_pb2 as pb

_CHUNK = 64 * 1024
_WINDOW = 1024 * 1024
"""Bytes that may be on their way without the admin's word that it has them."""


class StdinSource:
    """Bytes of a file descriptor. The reading thread is a daemon: a silent terminal keeps nobody from leaving."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._kept: deque[bytes] = deque()
        self._base = 0
        self._end = 0
        self._is_complete = False
        self._changed = asyncio.Event()
        self._room = threading.Semaphore(_WINDOW // _CHUNK)
        self._is_reading = False
        self._origin = _origin(descriptor)

    def acknowledge(self, offset: int) -> None:
        """The admin has everything before this offset."""
        while self._kept and self._base + len(self._kept[0]) <= offset:
            self._base += len(self._kept.popleft())
            self._room.release()

    async def chunks(self, from_offset: int) -> AsyncIterator[pb.StdinChunk]:
        """Everything from an offset on, as it is read; the last chunk says so.

        Raises StreamBroken when the admin lost what it had and it cannot be read again.
        """
        offset = from_offset
        while offset < self._base:
            data = await asyncio.to_thread(self._read_again, offset)
            yield pb.StdinChunk(offset=offset, data=data)
            offset += len(data)
        self._start()
        while True:
            self._changed.clear()
            for start, data in self._from(offset):
                yield pb.StdinChunk(offset=start, data=data)
                offset = start + len(data)
            if self._is_complete and offset >= self._end:
                yield pb.StdinChunk(offset=offset, is_last=True)
                return
            if not self._changed.is_set():
                await self._changed.wait()

    def _read_again(self, offset: int) -> bytes:
        data = b""
        if self._origin is not None:
            data = os.pread(self._descriptor, min(_CHUNK, self._base - offset), self._origin + offset)
        if not data:
            raise StreamBroken("the admin lost a part of stdin that cannot be read again")
        return data

    def _from(self, offset: int) -> list[tuple[int, bytes]]:
        found, start = [], self._base
        for data in self._kept:
            skipped = max(0, offset - start)
            if skipped < len(data):
                found.append((start + skipped, data[skipped:]))
            start += len(data)
        return found

    def _start(self) -> None:
        if not self._is_reading:
            self._is_reading = True
            threading.Thread(target=self._read_all, name="stdin", daemon=True).start()

    def _read_all(self) -> None:
        while True:
            self._room.acquire()
            try:
                data = os.read(self._descriptor, _CHUNK)
            except OSError:  # the terminal is gone
                data = b""
            try:
                self._loop.call_soon_threadsafe(self._take, data)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return
            if not data:
                return

    def _take(self, data: bytes) -> None:
        if data:
            self._kept.append(data)
            self._end += len(data)
        else:
            self._is_complete = True
        self._changed.set()


def _origin(descriptor: int) -> int | None:
    """Where in its file stdin begins; None when it is no regular file."""
    try:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return os.lseek(descriptor, 0, os.SEEK_CUR) if is_file else None
    except OSError:  # it is closed, which reading will find
        return None


def open_source(name: str) -> StdinSource:
    """`-` is our own stdin, anything else a file. Raises UsageError."""
    if name == "-":
        return StdinSource(0)
    try:
        if Path(name).is_dir():
            raise UsageError(f"--stdin {name}: this is a directory")
        return StdinSource(os.open(name, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        raise UsageError(f"--stdin {name}: {error.strerror}") from None
