"""Byte streams and the one way to join two of them: half-close, idle and total time, counters.

A stream is a socket, a tunnel inside a gRPC call, or standard input and output. Every relay of the project is `relay`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from edge_wire.errors import EdgeError, TunnelIdle, TunnelTooOld

CHUNK = 256 * 1024
"""Bytes that a stream gives at once at most: what a message of a tunnel carries. A message of gRPC costs as much as
these bytes do: with a quarter of it a tunnel through a session has half the throughput."""


class ByteStream(Protocol):
    """Bytes in both directions, each of which ends by itself. One reader and one writer at a time."""

    async def read(self) -> bytes:
        """What has arrived, at most CHUNK bytes; b"" when the other side has ended its direction.

        Raises EdgeError when the stream broke.
        """
        ...

    async def write(self, data: bytes) -> None:
        """Send; waits while the other side is slow. Raises EdgeError when the stream broke."""
        ...

    async def close_write(self) -> None:
        """End our direction: the other side reads everything, and then b"". Twice is once."""
        ...

    def abort(self, failure: EdgeError | None = None) -> None:
        """End both directions at once; the other side learns that it was no proper end. After the end it does nothing.
        Whoever opened a stream calls it at last, however it ended."""
        ...


@dataclass(frozen=True, kw_only=True)
class RelayLimits:
    """How long a relay lasts."""

    idle: timedelta = timedelta(hours=1)
    """Without a byte in either direction."""
    total: timedelta = timedelta(days=1)


UNLIMITED = RelayLimits(idle=timedelta(days=365), total=timedelta(days=365))
"""For whoever leaves it to the admin to say when a tunnel has been idle or open for too long."""


@dataclass(kw_only=True)
class Flow:
    """What moved between two streams so far."""

    sent: int = 0
    """Bytes from the near stream to the far one."""
    received: int = 0
    """Bytes from the far stream to the near one."""
    moved_at: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    def count_sent(self, size: int) -> None:
        """Bytes went from the near stream to the far one."""
        self.sent += size
        self.moved_at = asyncio.get_running_loop().time()

    def count_received(self, size: int) -> None:
        """Bytes went from the far stream to the near one."""
        self.received += size
        self.moved_at = asyncio.get_running_loop().time()


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A target that was reached."""

    stream: ByteStream
    peer: str
    """What is connected at the far end, `address:port`; empty when nobody said."""
    limits: RelayLimits
    flow: Flow
    """Where what moves is counted, by `relay` or by whoever moves it."""


async def relay(near: ByteStream, far: ByteStream, *, limits: RelayLimits, flow: Flow) -> None:
    """Join two streams until both directions have ended; an end is passed on in its own direction.

    Raises what broke one of them, TunnelIdle or TunnelTooOld; then both have been aborted.
    """
    pumps = {
        asyncio.create_task(_pump(near, far, flow.count_sent)),
        asyncio.create_task(_pump(far, near, flow.count_received)),
    }
    try:
        await _finish(pumps, limits, flow)
    except EdgeError as failure:
        near.abort(failure)
        far.abort(failure)
        raise
    except BaseException:
        near.abort()
        far.abort()
        raise
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(source: ByteStream, sink: ByteStream, count: Callable[[int], None]) -> None:
    while data := await source.read():
        await sink.write(data)
        count(len(data))
    await sink.close_write()


async def _finish(pumps: set[asyncio.Task[None]], limits: RelayLimits, flow: Flow) -> None:
    """Wait for the pumps. Looking for idleness is a wait of its own: a time-out around a read would lose its bytes."""
    clock = asyncio.get_running_loop().time
    ends_at = clock() + limits.total.total_seconds()
    running = pumps
    while running:
        idle_at = flow.moved_at + limits.idle.total_seconds()
        timeout = max(0.0, min(idle_at, ends_at) - clock())
        done, running = await asyncio.wait(running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for pump in done:
            pump.result()
        if running and clock() >= ends_at:
            raise TunnelTooOld(f"the tunnel has been open for {limits.total}")
        if running and clock() >= flow.moved_at + limits.idle.total_seconds():
            raise TunnelIdle(f"nothing moved in the tunnel for {limits.idle}")
