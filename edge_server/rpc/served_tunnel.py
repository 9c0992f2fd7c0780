"""The serving half of a call that carries a tunnel: what the handler sends, and how the call ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from edge_wire.errors import EdgeError, StreamBroken
from edge_wire.tunnel_frames import TunnelStream
from edge_wire.v1 import tunnel_pb2 as pb


class ServedTunnel:
    """A tunnel in a call that we serve. `outgoing` is the call's answer; everyone else uses `stream`."""

    def __init__(self, frames: AsyncIterator[pb.TunnelFrame]) -> None:
        self.stream = TunnelStream(frames, send=self.send, give_up=self._give_up, over=self._finish)
        self._frame: pb.TunnelFrame | None = None
        self._failure: EdgeError | None = None
        self._is_over = False
        self._is_taken = asyncio.Event()
        self._changed = asyncio.Event()

    async def send(self, frame: pb.TunnelFrame) -> None:
        """Send one frame; returns when the call has taken it, and so is as slow as its reader. One sender at a time."""
        if self._is_over:
            raise self._failure or StreamBroken("the tunnel broke: the other side has left")
        self._frame = frame
        self._is_taken.clear()
        self._changed.set()
        await self._is_taken.wait()
        if self._frame is not None:
            raise self._failure or StreamBroken("the tunnel broke: the other side has left")

    async def outgoing(self) -> AsyncGenerator[pb.TunnelFrame, None]:
        """What is sent, until both directions have ended. Raises what the tunnel was given up for."""
        try:
            while True:
                if self._frame is not None:
                    yield self._frame
                    self._frame = None
                    self._is_taken.set()
                if self._failure is not None:
                    raise self._failure
                if self._is_over:
                    return
                self._changed.clear()
                if self._frame is None:
                    await self._changed.wait()
        finally:
            self._is_over = True
            self._is_taken.set()

    def _finish(self) -> None:
        self._is_over = True
        self._changed.set()

    def _give_up(self, failure: EdgeError) -> None:
        self._failure = self._failure or failure
        self._is_over = True
        self._is_taken.set()
        self._changed.set()
