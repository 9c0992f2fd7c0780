"""Bytes without end in both directions, as a program: `serve PORT` on loopback, or `load COUNT HOST:PORT` connections.

A load moves what can be moved, and says how much that was when its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress

_AT_ONCE = bytes(64 * 1024)


class Moved:
    """Bytes that were read, and that the kernel took."""

    def __init__(self) -> None:
        self.down = 0
        self.up = 0

    async def both_ways(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Move until the connection ends."""
        with suppress(OSError):
            await asyncio.gather(self._read(reader), self._write(writer))
        writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(len(_AT_ONCE)):
            self.down += len(data)

    async def _write(self, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(_AT_ONCE)
            await writer.drain()
            self.up += len(_AT_ONCE)


async def serve(port: int) -> None:
    """Until we are killed."""
    server = await asyncio.start_server(Moved().both_ways, "127.0.0.1", port)
    await server.serve_forever()


async def load(count: int, place: str) -> None:
    """Hold so many connections until standard input ends."""
    host, _, port = place.rpartition(":")
    moved = Moved()
    tasks = [
        asyncio.create_task(moved.both_ways(*await asyncio.open_connection(host, int(port)))) for _ in range(count)
    ]
    await asyncio.to_thread(sys.stdin.read)
    lasted = sum(not task.done() for task in tasks)
    sys.stdout.write(json.dumps({"down": moved.down, "up": moved.up, "lasted": lasted}))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[2])) if sys.argv[1] == "serve" else load(int(sys.argv[2]), sys.argv[3]))
