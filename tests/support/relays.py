"""Two connections joined by a relay, and who stands at their outer ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address

from edge_wire.connecting import connect
from edge_wire.listener import ListenAddress, Listener
from edge_wire.sockets import PlainStream, SocketStream
from edge_wire.streams import Flow, RelayLimits, relay

LOOPBACK = ip_address("127.0.0.1")
WITHIN = timedelta(seconds=5)


@asynccontextmanager
async def a_pair() -> AsyncIterator[tuple[SocketStream, SocketStream]]:
    """The two ends of one connection."""
    accepted: asyncio.Queue[SocketStream] = asyncio.Queue()
    left = asyncio.Event()

    async def serve(stream: SocketStream) -> None:
        accepted.put_nowait(stream)
        await left.wait()

    listener = Listener(serve)
    place = await listener.open(ListenAddress(host="127.0.0.1", port=0))
    ours = await connect(LOOPBACK, place.port, WITHIN)
    try:
        yield ours, await accepted.get()
    finally:
        left.set()
        ours.abort()
        await listener.stop()


@dataclass(kw_only=True)
class Joined:
    """client ─ near │ relay │ far ─ server"""

    client: SocketStream
    near: SocketStream
    far: SocketStream
    server: SocketStream
    task: asyncio.Task[None]
    flow: Flow

    @property
    def is_spliced(self) -> bool:
        """Whether the kernel has taken over."""
        joints = [stream._joint for stream in (self.near, self.far) if isinstance(stream, PlainStream)]
        return any(joint is not None and joint.is_spliced for joint in joints)


@asynccontextmanager
async def joined(limits: RelayLimits | None = None) -> AsyncIterator[Joined]:
    """A relay that runs; cancelled at the end."""
    async with a_pair() as (client, near), a_pair() as (far, server):
        flow = Flow()
        task = asyncio.create_task(relay(near, far, limits=limits or RelayLimits(), flow=flow))
        try:
            yield Joined(client=client, near=near, far=far, server=server, task=task, flow=flow)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
