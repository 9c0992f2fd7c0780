"""Two ends of one connection in memory, with little room on the way, so that who does not read stops who writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edge_wire.errors import EdgeError, StreamBroken

ROOM = 64 * 1024
"""Bytes that are on the way in one direction before a write waits, and the most that one read gives."""


class _Direction:
    def __init__(self) -> None:
        self.buffer = bytearray()
        self.has_ended = False
        self.end_was_read = False
        self.readers = 0
        self.failure: EdgeError | None = None
        self._changed = asyncio.Event()

    async def put(self, data: bytes) -> None:
        await self._until(lambda: len(self.buffer) < ROOM)
        if self.failure is not None or self.has_ended:
            raise self.failure or StreamBroken("written behind the end")
        self.buffer += data
        self.tell()

    async def get(self) -> bytes:
        self.readers += 1
        try:
            await self._until(lambda: bool(self.buffer) or self.has_ended)
        finally:
            self.readers -= 1
        if self.failure is not None and not self.buffer:
            raise self.failure
        data = bytes(self.buffer[:ROOM])
        del self.buffer[:ROOM]
        self.end_was_read = not data
        self.tell()
        return data

    def fail(self, failure: EdgeError) -> None:
        self.failure = self.failure or failure
        self.tell()

    def tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _until(self, check: Callable[[], bool]) -> None:
        while self.failure is None and not check():
            await self._changed.wait()


class MemoryStream:
    """One end; a ByteStream."""

    def __init__(self, incoming: _Direction, outgoing: _Direction) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    async def read(self) -> bytes:
        return await self._incoming.get()

    async def write(self, data: bytes) -> None:
        await self._outgoing.put(data)

    async def close_write(self) -> None:
        self._outgoing.has_ended = True
        self._outgoing.tell()

    def abort(self, failure: EdgeError | None = None) -> None:
        if not (self._incoming.has_ended and self._outgoing.has_ended):
            self._incoming.fail(failure or StreamBroken("the stream was aborted"))
            self._outgoing.fail(failure or StreamBroken("the other side aborted the stream"))

    @property
    def has_ended_writing(self) -> bool:
        return self._outgoing.has_ended

    @property
    def end_was_told(self) -> bool:
        return self._incoming.has_ended

    @property
    def end_was_read(self) -> bool:
        return self._outgoing.end_was_read

    @property
    def is_awaited(self) -> bool:
        """Whether the other side waits for more."""
        return self._outgoing.readers > 0 and not self._outgoing.buffer

    @property
    def has_been_read(self) -> bool:
        return not self._outgoing.buffer

    @property
    def is_aborted(self) -> bool:
        return self._outgoing.failure is not None

    async def read_all(self) -> bytes:
        """Everything up to the end of the other side's direction."""
        data = bytearray()
        while more := await self.read():
            data += more
        return bytes(data)

    async def read_exactly(self, size: int) -> bytes:
        """So many bytes; those behind them stay for the next read."""
        data = bytearray()
        while len(data) < size:
            more = await self.read()
            assert more, f"ended after {bytes(data)!r}"
            data += more
        self._incoming.buffer[:0] = data[size:]
        return bytes(data[:size])

    async def read_until(self, end: bytes) -> bytes:
        """Up to and with `end`; what is behind it stays for the next read."""
        data = bytearray()
        while end not in data:
            more = await self.read()
            assert more, f"ended after {bytes(data)!r}"
            data += more
        size = data.index(end) + len(end)
        self._incoming.buffer[:0] = data[size:]
        return bytes(data[:size])


def stream_pair() -> tuple[MemoryStream, MemoryStream]:
    """Both ends of one connection."""
    one_way, other_way = _Direction(), _Direction()
    return MemoryStream(one_way, other_way), MemoryStream(other_way, one_way)
