"""A channel as a byte stream on the event loop, for everything that is relayed through a connection.

paramiko's calls may block while the client takes nothing, so they run in threads of the connection's pool.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar, cast

import paramiko
from paramiko.channel import Channel

from edge_wire.errors import EdgeError, StreamBroken
from edge_wire.streams import CHUNK

Result = TypeVar("Result")


class ChannelStream:
    """One channel that has no program."""

    def __init__(self, channel: Channel, pool: Executor) -> None:
        self._channel = channel
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._is_write_over = False
        channel.in_buffer.set_event(cast("threading.Event", _Notice(self._loop, self._arrived)))

    @classmethod
    async def open(cls, open_channel: Callable[[], Channel], pool: Executor) -> ChannelStream:
        """The stream of a channel that this call opens; it may block. Raises StreamBroken."""
        return cls(await _in_thread(pool, open_channel), pool)

    async def read(self) -> bytes:
        """As of a ByteStream."""
        while not self._has_something():
            self._arrived.clear()
            if not self._has_something():
                await self._arrived.wait()
        if not self._channel.recv_ready() and not self._channel.eof_received:
            raise StreamBroken("the client closed the channel")
        return await _in_thread(self._pool, lambda: self._channel.recv(CHUNK))

    async def write(self, data: bytes) -> None:
        """As of a ByteStream."""
        await _in_thread(self._pool, lambda: self._send(data))

    async def close_write(self) -> None:
        """As of a ByteStream."""
        if not self._is_write_over:
            self._is_write_over = True
            await _in_thread(self._pool, self._channel.shutdown_write)

    def abort(self, _failure: EdgeError | None = None) -> None:
        """As of a ByteStream. SSH has no other end of a channel than this one."""
        with contextlib.suppress(RuntimeError):  # the pool is over, and the connection with it
            self._pool.submit(self._channel.close)

    def _has_something(self) -> bool:
        """Bytes, or an end."""
        return bool(self._channel.recv_ready() or self._channel.eof_received or self._channel.closed)

    def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            sent = self._channel.send(bytes(rest[: self._channel.out_max_packet_size]))
            if sent == 0:
                raise OSError("the channel is closed")
            rest = rest[sent:]


async def _in_thread(pool: Executor, call: Callable[[], Result]) -> Result:
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, call)
    except (OSError, EOFError, paramiko.SSHException, RuntimeError) as error:
        raise StreamBroken(f"the channel broke ({error})") from None


class _Notice:
    """What paramiko takes for the event of a buffer: tells the loop that something arrived."""

    def __init__(self, loop: asyncio.AbstractEventLoop, arrived: asyncio.Event) -> None:
        self._loop = loop
        self._arrived = arrived

    def set(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is over
            self._loop.call_soon_threadsafe(self._arrived.set)

    def clear(self) -> None:
        """A buffer is empty; whoever reads it knows."""
