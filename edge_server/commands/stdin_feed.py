"""Bringing stdin of one command to its nodes: each at its own pace, from one spool."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from edge_server.commands.domain import ExecutionId
from edge_server.commands.stdin_spool import MemorySpool, Spool
from edge_wire.errors import FrameInvalid, StdinTooLarge
from edge_wire.tasks import OwnedTasks
from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import session_pb2 as session_pb

log = logging.getLogger(__name__)

_CHUNK = 64 * 1024

Send = Callable[[ExecutionId, session_pb.ExecutionOrder], bool]
"""Order something over the session in which an execution runs; False when there is none."""


@dataclass
class _Reader:
    """How far one execution is."""

    taken: int = 0
    """The first byte that the node does not have."""
    sent: int | None = None
    """The next byte to send in this session; None until the node said what it has."""
    limit: int = 0
    is_end_sent: bool = False
    is_over: bool = False
    is_sending: bool = False


class StdinFeed:
    """Stdin of one command."""

    def __init__(self, *, spool: Spool, executions: list[ExecutionId], send: Send) -> None:
        self._spool = spool
        self._readers = {execution_id: _Reader() for execution_id in executions}
        self._send = send
        self._tasks = OwnedTasks(log, "stdin could not be brought")
        self._appending = asyncio.Lock()
        self._trimmed = asyncio.Event()
        self._acknowledged: set[Callable[[int], None]] = set()

    @property
    def acknowledged(self) -> int:
        """Bytes that whoever brings stdin may forget. What is only in memory counts when the node has it."""
        if isinstance(self._spool, MemorySpool):
            return min((reader.taken for reader in self._readers.values()), default=0)
        return self._spool.end

    def on_acknowledged(self, tell: Callable[[int], None]) -> Callable[[], None]:
        """Have somebody told whenever that grew; returns how to stop it."""
        self._acknowledged.add(tell)
        return lambda: self._acknowledged.discard(tell)

    async def append(self, chunk: pb.StdinChunk) -> None:
        """Take more; what is there already is left out. Raises FrameInvalid, StdinTooLarge, OSError."""
        async with self._appending:
            skipped = self._spool.end - chunk.offset
            if skipped < 0 or len(chunk.data) > 1024 * 1024:
                raise FrameInvalid("stdin has a hole, or too much of it at once")
            if self._spool.is_complete or (skipped >= len(chunk.data) and not chunk.is_last):
                return
            data = chunk.data[skipped:]
            await self._wait_for_room(len(data))
            await asyncio.to_thread(self._spool.append, data, is_last=chunk.is_last)
        self._tell_acknowledged()
        for execution_id in self._readers:
            self._kick(execution_id)

    async def _wait_for_room(self, size: int) -> None:
        """Let a slow node catch up. One that has not begun could wait for ever for the others: that is too much."""
        while self._spool.end - self._spool.base + size > self._spool.limit:
            if any(reader.sent is None and not reader.is_over for reader in self._readers.values()):
                raise StdinTooLarge(
                    f"nodes that have not begun to read would need more than {self._spool.limit} bytes kept for them",
                    hint="raise --fanout, so that all nodes read at once, or copy a file to them",
                )
            self._trimmed.clear()
            await self._trimmed.wait()

    def wanted(self, execution_id: ExecutionId, wanted: session_pb.StdinWanted) -> None:
        """A node says what it has and how much it takes."""
        reader = self._readers.get(execution_id)
        if reader is None:
            return
        if isinstance(self._spool, MemorySpool):
            self._spool.begin_at(wanted.offset)
        reader.taken = max(reader.taken, wanted.offset)
        reader.sent = max(wanted.offset, self._spool.base) if reader.sent is None else reader.sent
        reader.limit = max(reader.limit, wanted.limit)
        reader.is_over = reader.is_over or wanted.closed
        self._trim()
        self._tell_acknowledged()
        self._kick(execution_id)

    def detached(self, execution_id: ExecutionId) -> None:
        """Its session is gone: the next one says anew what the node has."""
        reader = self._readers.get(execution_id)
        if reader is not None:
            reader.sent, reader.limit, reader.is_end_sent = None, 0, False

    def ended(self, execution_id: ExecutionId) -> None:
        """It reads no more."""
        reader = self._readers.get(execution_id)
        if reader is not None:
            reader.is_over = True
            self._trim()

    def close(self) -> None:
        """End what is being brought."""
        self._tasks.cancel()

    def _trim(self) -> None:
        reading = [reader.taken for reader in self._readers.values() if not reader.is_over]
        self._spool.trim(min(reading, default=self._spool.end))
        self._trimmed.set()

    def _tell_acknowledged(self) -> None:
        for tell in list(self._acknowledged):
            tell(self.acknowledged)

    def _kick(self, execution_id: ExecutionId) -> None:
        reader = self._readers[execution_id]
        if not reader.is_sending and not reader.is_over and self._has_something(reader):
            reader.is_sending = True
            self._tasks.spawn(self._bring(execution_id, reader))

    def _has_something(self, reader: _Reader) -> bool:
        if reader.sent is None:
            return False
        is_at_end = self._spool.is_complete and reader.sent >= self._spool.end and not reader.is_end_sent
        return reader.sent < min(reader.limit, self._spool.end) or is_at_end

    async def _bring(self, execution_id: ExecutionId, reader: _Reader) -> None:
        try:
            while self._has_something(reader) and not reader.is_over:
                if not await self._bring_one(execution_id, reader):
                    return
        finally:
            reader.is_sending = False

    async def _bring_one(self, execution_id: ExecutionId, reader: _Reader) -> bool:
        offset = reader.sent or 0
        size = min(reader.limit, self._spool.end) - offset
        data = b""
        if size > 0:
            data = await asyncio.to_thread(self._spool.read, offset, min(size, _CHUNK))
        if reader.sent != offset:
            return True  # another session began meanwhile
        reader.sent = offset + len(data)
        reader.is_end_sent = self._spool.is_complete and reader.sent >= self._spool.end
        chunk = pb.StdinChunk(offset=offset, data=data, is_last=reader.is_end_sent)
        return self._send(execution_id, session_pb.ExecutionOrder(execution_id=execution_id, stdin=chunk))
