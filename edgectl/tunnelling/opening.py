"""Tunnels over the gRPC connection to the admin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edge_wire import calls
from edge_wire.errors import StreamBroken
from edge_wire.streams import UNLIMITED, Flow, Opened
from edge_wire.targets import Target
from edge_wire.tunnel_call import carried_by
from edge_wire.tunnel_frames import to_target
from edge_wire.v1 import tunnel_pb2 as pb
from edgectl.connect import Admin


@asynccontextmanager
async def open_tunnel(admin: Admin, node: str, target: Target) -> AsyncIterator[Opened]:
    """A tunnel through a node for the time of the block. Raises what the admin refuses it with."""
    conversation = calls.converse(admin.tunnels.Open, token=admin.token)
    async with carried_by(conversation) as stream:
        await conversation.write(pb.TunnelFrame(open=pb.OpenTunnel(node=node, target=to_target(target))))
        first = await anext(conversation, None)
        if first is None or first.WhichOneof("frame") != "opened":
            raise StreamBroken("the admin answered with something else than an open tunnel")
        yield Opened(stream=stream, peer=first.opened.peer, limits=UNLIMITED, flow=Flow())
