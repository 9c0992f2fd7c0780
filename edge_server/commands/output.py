"""What an admin keeps of one output stream: its head and its tail, in bounded memory. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from enum import StrEnum

LARGEST_HALF = 256 * 1024
"""Bytes kept of the head of one stream, and as many of its tail: 1 MiB of an execution."""
SMALLEST_HALF = 8 * 1024
MEMORY_BUDGET = 256 * 1024 * 1024
"""Bytes of output that all executions under way on an admin may keep in memory."""
_WORTH_PACKING = 256
_PACK_LEVEL = 3
"""As fast as the fastest, and nearly as small as the default, which takes three times as long."""


class Codec(StrEnum):
    """How stored output is packed."""

    RAW = ""
    ZLIB = "zlib"


def pack(head: bytes, tail: bytes) -> tuple[Codec, bytes, bytes]:
    """Head and tail as they are stored: compressed when that saves something."""
    if len(head) + len(tail) >= _WORTH_PACKING:
        packed = zlib.compress(head, _PACK_LEVEL), zlib.compress(tail, _PACK_LEVEL)
        if sum(map(len, packed)) < len(head) + len(tail):
            return Codec.ZLIB, *packed
    return Codec.RAW, head, tail


def unpack(codec: Codec, head: bytes, tail: bytes) -> tuple[bytes, bytes]:
    """Head and tail from how they were stored."""
    return (zlib.decompress(head), zlib.decompress(tail)) if codec is Codec.ZLIB else (head, tail)


def half_for(execution_count: int) -> int:
    """How much of its head, and of its tail, each stream keeps when so many executions are under way."""
    return max(SMALLEST_HALF, min(LARGEST_HALF, MEMORY_BUDGET // (4 * max(1, execution_count))))


class KeptOutput:
    """The first and the last bytes of one stream, by offset. Gaps may be anywhere."""

    def __init__(self) -> None:
        self._half = LARGEST_HALF
        self._head = bytearray()
        self._tail = bytearray()
        self._tail_offset = 0
        self.end = 0
        """Offset of the next byte expected."""

    @classmethod
    def restored(cls, head: bytes, tail: bytes, tail_offset: int) -> KeptOutput:
        """From what was stored."""
        kept = cls()
        kept._head, kept._tail, kept._tail_offset = bytearray(head), bytearray(tail), tail_offset
        kept.end = max(len(head), tail_offset + len(tail))
        return kept

    def limit_to(self, half: int) -> None:
        """Keep at most so much of the head, and of the tail, of what comes from now on."""
        self._half = half

    @property
    def head(self) -> bytes:
        """The first bytes."""
        return bytes(self._head)

    @property
    def tail(self) -> bytes:
        """The last bytes, when the head is not all."""
        return bytes(self._tail)

    @property
    def tail_offset(self) -> int:
        """Offset of the first byte of the tail."""
        return self._tail_offset

    def add(self, offset: int, data: bytes) -> bytes:
        """Take a chunk; returns the part that is new. What was there before is ignored."""
        if offset + len(data) <= self.end:
            return b""
        if offset < self.end:
            data, offset = data[self.end - offset :], self.end
        if offset > self.end:
            self.skip_to(offset)
        rest = data
        if not self._tail and len(self._head) == offset and offset < self._half:
            room = self._half - len(self._head)
            self._head += data[:room]
            rest = data[room:]
        if rest:
            self._add_to_tail(offset + len(data) - len(rest), rest)
        self.end = offset + len(data)
        return data

    def skip_to(self, offset: int) -> None:
        """Note a gap: the next byte has this offset."""
        if offset <= self.end:
            return
        self._tail.clear()
        self._tail_offset = offset
        self.end = offset

    def pieces(self, from_offset: int) -> Iterator[tuple[int, bytes]]:
        """What is kept from an offset on, in order: (offset, bytes)."""
        for start, data in ((0, self._head), (self._tail_offset, self._tail)):
            skipped = max(0, from_offset - start)
            if len(data) > skipped:
                yield start + skipped, bytes(data[skipped:])

    def _add_to_tail(self, offset: int, data: bytes) -> None:
        if len(data) >= self._half:  # nothing of what was there is left
            self._tail[:] = data if len(data) == self._half else data[-self._half :]
            self._tail_offset = offset + len(data) - len(self._tail)
            return
        if not self._tail:
            self._tail_offset = offset
        self._tail += data
        surplus = len(self._tail) - self._half
        # Cutting at each byte too many would copy the tail for every chunk.
        if surplus > self._half:
            del self._tail[:surplus]
            self._tail_offset += surplus

    def trimmed(self) -> tuple[bytes, bytes, int]:
        """Head, tail and tail offset as they are stored."""
        surplus = max(0, len(self._tail) - self._half)
        return bytes(self._head), bytes(self._tail[surplus:]), self._tail_offset + surplus
