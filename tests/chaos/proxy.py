"""A TCP proxy on loopback that breaks connections as networks do: cut, reset, stalled, or open on one side only."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress

_CHUNK = 64 * 1024
_ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST (socket(7))."""


class Connection:
    """One connection through the proxy: two sockets and what is copied between them."""

    def __init__(
        self,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._near, self._far = near, far
        self._flows = asyncio.Event()
        self._flows.set()
        self._swallows = False
        self._thaw: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Copy both ways until both sides are done."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._copy(self._near[0], self._far[1]))
                tasks.create_task(self._copy(self._far[0], self._near[1]))
        finally:
            if self._thaw is not None:
                self._thaw.cancel()
            self.cut()

    def cut(self) -> None:
        """Close both sides, as when a proxy or a machine in between shuts down in order."""
        for _, writer in (self._near, self._far):
            writer.close()
        self._flows.set()

    def reset(self) -> None:
        """Abort both sides: each sees a reset."""
        for _, writer in (self._near, self._far):
            _abort(writer)
        self._flows.set()

    def stall(self, seconds: float) -> None:
        """Carry nothing for a while; both sides stay open, and what they send arrives late."""
        self._flows.clear()
        if self._thaw is not None:
            self._thaw.cancel()
        self._thaw = asyncio.get_running_loop().call_later(seconds, self._flows.set)

    def half_open(self, *, is_near_kept: bool) -> None:
        """One side is gone and the other never hears of it: what it sends is swallowed, and nothing comes."""
        self._swallows = True
        _abort((self._far if is_near_kept else self._near)[1])
        self._flows.set()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._flows.wait()
                if not self._swallows:
                    writer.write(data)
                    await writer.drain()
        if self._swallows:
            return
        if reader.exception() is not None:
            _abort(writer)
        elif not writer.is_closing():
            with suppress(OSError):
                writer.write_eof()


class Proxy:
    """Listens on a port and passes every connection on to another one."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: list[Connection] = []
        self.accepted = 0
        """How many connections there were in all."""

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_CHUNK)

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def connections(self) -> list[Connection]:
        """Those that are open, oldest first."""
        return list(self._connections)

    async def stop(self) -> None:
        """Close everything."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        try:
            await self._carry(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far = await asyncio.open_connection("127.0.0.1", self._target_port, limit=_CHUNK)
        except OSError:  # nobody is there: as near to a refused connection as a proxy gets
            _abort(writer)
            return
        connection = Connection((reader, writer), far)
        self._connections.append(connection)
        try:
            await connection.run()
        finally:
            self._connections.remove(connection)


def _abort(writer: asyncio.StreamWriter) -> None:
    transport = writer.transport
    raw: socket.socket | None = transport.get_extra_info("socket")
    if raw is not None and not transport.is_closing():
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    transport.abort()
