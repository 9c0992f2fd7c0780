"""TunnelService over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from edge_server.proxies.service import TunnelService, Wish
from edge_server.rpc.first_frame import first_frame
from edge_server.rpc.gatekeeper import Call
from edge_server.rpc.served_tunnel import ServedTunnel
from edge_wire.errors import EdgeError, FrameInvalid
from edge_wire.streams import relay
from edge_wire.tunnel_frames import from_target
from edge_wire.v1 import tunnel_pb2 as pb


class TunnelServicer:
    """Carries the tunnels of operators."""

    def __init__(self, *, tunnels: TunnelService) -> None:
        self._tunnels = tunnels

    async def Open(self, call: Call, frames: AsyncIterator[pb.TunnelFrame]) -> AsyncGenerator[pb.TunnelFrame, None]:
        first = await first_frame(frames, name="open")
        if first.WhichOneof("frame") != "open":
            raise FrameInvalid("the first frame of a tunnel is open")
        wish = Wish(node=first.open.node, target=from_target(first.open.target), via="grpc")
        near = ServedTunnel(frames)
        async with self._tunnels.open(call.caller, wish) as opened:
            yield pb.TunnelFrame(opened=pb.TunnelOpened(peer=opened.peer))
            relaying = asyncio.create_task(relay(near.stream, opened.stream, limits=opened.limits, flow=opened.flow))
            try:
                async for frame in near.outgoing():
                    yield frame
                await relaying
            finally:
                await _end(relaying)


async def _end(relaying: asyncio.Task[None]) -> None:
    """The call is over; what broke the relay was its answer already, unless it is a mistake of ours."""
    relaying.cancel()
    await asyncio.wait({relaying})
    error = None if relaying.cancelled() else relaying.exception()
    if error is not None and not isinstance(error, EdgeError):
        raise error
