"""A stream of which one read may be begun before anybody needs its bytes, so that its end is noticed in between."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from edge_wire.errors import EdgeError
from edge_wire.streams import CHUNK, ByteStream


class ReadAhead:
    """A ByteStream around another one, with a place for what was read too early. Whoever makes it stops it."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._kept = b""
        self._begun: asyncio.Task[bytes] | None = None

    @property
    def plain(self) -> ByteStream:
        """The stream itself when nothing of it is held here, else this one: the same bytes either way."""
        return self if self._kept or self._begun else self._stream

    def keep(self, data: bytes) -> None:
        """Let the next read give these bytes, ahead of what is held already."""
        self._kept = data + self._kept

    @property
    def is_readable(self) -> bool:
        """Whether the next `read` gives its result, be it a failure, without waiting."""
        return self._kept != b"" or (self._begun is not None and self._begun.done())

    def begin_read(self) -> asyncio.Task[bytes]:
        """Begin a read, whose result the next `read` gives. It is not to be cancelled."""
        if self._begun is None:
            self._begun = asyncio.create_task(self._stream.read())
        return self._begun

    async def has_left(self) -> bool:
        """Wait until something can be read, and tell whether it is the end or a failure; the next `read` gives it."""
        if self._kept:
            return False
        begun = self.begin_read()
        await asyncio.wait({begun})
        return begun.exception() is not None or not begun.result()

    def read(self) -> Coroutine[Any, Any, bytes]:
        """As ByteStream. Cancelling it loses nothing while it waits for a read that was begun."""
        return self._read_held() if self._kept or self._begun else self._stream.read()

    async def _read_held(self) -> bytes:
        if self._kept:
            data, self._kept = self._kept[:CHUNK], self._kept[CHUNK:]
            return data
        if self._begun is None:
            return await self._stream.read()
        await asyncio.wait({self._begun})
        begun, self._begun = self._begun, None
        return begun.result()

    async def stop(self) -> None:
        """End the read that was begun, for good; the stream itself stays as it is."""
        if self._begun is not None:
            self._begun.cancel()
            await asyncio.gather(self._begun, return_exceptions=True)

    def write(self, data: bytes) -> Coroutine[Any, Any, None]:
        """As ByteStream."""
        return self._stream.write(data)

    def close_write(self) -> Coroutine[Any, Any, None]:
        """As ByteStream."""
        return self._stream.close_write()

    def abort(self, failure: EdgeError | None = None) -> None:
        """As ByteStream."""
        self._stream.abort(failure)
