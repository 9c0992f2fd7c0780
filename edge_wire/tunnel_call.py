"""The calling half of a call that carries a tunnel: edgectl's to an admin, and a node's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from edge_wire.calls import Conversation
from edge_wire.tunnel_frames import TunnelStream
from edge_wire.v1 import tunnel_pb2 as pb

_FINISH_WITHIN = timedelta(seconds=10)


@asynccontextmanager
async def carried_by(conversation: Conversation[pb.TunnelFrame, pb.TunnelFrame]) -> AsyncIterator[TunnelStream]:
    """The stream of a call that was opened for it, for the time of the block, which closes the call.

    A tunnel that is over by then is seen through to the end of the call, so that what was said last arrives.
    """
    stream = TunnelStream(conversation, send=conversation.write, give_up=lambda _failure: conversation.close())
    try:
        yield stream
        if stream.is_over:
            await conversation.finish(_FINISH_WITHIN)
    finally:
        conversation.close()
