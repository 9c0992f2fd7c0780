"""Byte streams and the one way to join two of them: half-close, idle and total time, counters.

A stream is a socket, a tunnel inside a gRPC call, or standard input and output. Every relay of the project is `relay`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import Any, Protocol

from edge_wire.errors import EdgeError, TunnelIdle, TunnelTooOld
from edge_wire.joint import Joinable, Joint
from edge_wire.lazy_timer import LazyAlarm

CHUNK = 256 * 1024
"""Bytes that a stream gives at once at most: what a message of a tunnel carries. A message of gRPC costs as much as
these bytes do: with a quarter of it a tunnel through a session has half the throughput."""
BULKY = 1024 * 1024
"""Once so many bytes have moved between two plain connections, the kernel joins them: it is no use for short ones."""


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
    """What moved between two streams so far. Counted in one thread at a time."""

    sent: int = 0
    """Bytes from the near stream to the far one."""
    received: int = 0
    """Bytes from the far stream to the near one."""
    moved_at: float = field(default_factory=monotonic)

    def count_sent(self, size: int) -> None:
        """Bytes went from the near stream to the far one."""
        self.sent += size
        self.moved_at = monotonic()

    def count_received(self, size: int) -> None:
        """Bytes went from the far stream to the near one."""
        self.received += size
        self.moved_at = monotonic()


@dataclass(slots=True)
class Opened:
    """A target that was reached. Not frozen: to make one would take five times as long, for each connection."""

    stream: ByteStream
    peer: str
    """What is connected at the far end, `address:port`; empty when nobody said."""
    limits: RelayLimits
    flow: Flow
    """Where what moves is counted, by `relay` or by whoever moves it."""


def seconds_left(limits: RelayLimits, flow: Flow, *, ends_at: float) -> float:
    """Until it is to be looked again whether it lasts; `ends_at` is when its time is over, on the monotonic clock.

    Raises TunnelIdle or TunnelTooOld when it is over.
    """
    now = monotonic()
    idle_at = flow.moved_at + limits.idle.total_seconds()
    if now >= ends_at:
        raise TunnelTooOld(f"the tunnel has been open for {limits.total}")
    if now >= idle_at:
        raise TunnelIdle(f"nothing moved in the tunnel for {limits.idle}")
    return min(idle_at, ends_at) - now


async def relay(near: ByteStream, far: ByteStream, *, limits: RelayLimits, flow: Flow) -> None:
    """Join two streams until both directions have ended; an end is passed on in its own direction.

    Raises what broke one of them, TunnelIdle or TunnelTooOld; then both have been aborted.
    """
    ends_at = monotonic() + limits.total.total_seconds()
    try:
        if isinstance(near, Joinable) and isinstance(far, Joinable) and near.is_joinable and far.is_joinable:
            await _join(near, far, limits=limits, ends_at=ends_at, flow=flow)
        else:
            pumps = [_pump(near, far, flow.count_sent), _pump(far, near, flow.count_received)]
            await _finish(pumps, limits=limits, ends_at=ends_at, flow=flow)
    except EdgeError as failure:
        near.abort(failure)
        far.abort(failure)
        raise
    except BaseException:
        near.abort()
        far.abort()
        raise


async def _join(near: Joinable, far: Joinable, *, limits: RelayLimits, ends_at: float, flow: Flow) -> None:
    counts = (flow.count_sent, flow.count_received)
    joint = Joint(near, far, counts, lambda: flow.sent + flow.received >= BULKY)

    end = _End(joint, limits, flow, ends_at)
    end.look()
    try:
        await joint.wait()
    finally:
        end.cancel()
        await joint.end()


class _End(LazyAlarm):
    """Ends a joint whose time is over."""

    def __init__(self, joint: Joint, limits: RelayLimits, flow: Flow, ends_at: float) -> None:
        super().__init__()
        self._joint = joint
        self._limits = limits
        self._flow = flow
        self._ends_at = ends_at

    def look(self) -> None:
        """End it, or look again when its time may be over."""
        try:
            self.within(seconds_left(self._limits, self._flow, ends_at=self._ends_at))
        except EdgeError as failure:
            self._joint.abort(failure)

    _ring = look


async def _pump(source: ByteStream, sink: ByteStream, count: Callable[[int], None]) -> None:
    while data := await source.read():
        try:
            await sink.write(data)
        finally:  # the sink has it, even if the wait for more room was given up
            count(len(data))
    await sink.close_write()


async def _finish(pumps: list[Coroutine[Any, Any, None]], *, limits: RelayLimits, ends_at: float, flow: Flow) -> None:
    """Run the pumps until all have ended.

    Looking for idleness is a wait of its own: a time-out around a read would lose its bytes.
    """
    tasks = {asyncio.create_task(pump) for pump in pumps}
    running = tasks
    try:
        while running:
            timeout = seconds_left(limits, flow, ends_at=ends_at)
            done, running = await asyncio.wait(running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for pump in done:
                pump.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
