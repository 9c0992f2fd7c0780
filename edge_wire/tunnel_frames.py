"""A ByteStream of the frames of a tunnel, whichever side of a gRPC call carries them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from edge_wire.errors import EdgeError, FrameInvalid, StreamBroken, from_code
from edge_wire.streams import CHUNK
from edge_wire.targets import Target, parse_target
from edge_wire.tasks import is_being_cancelled
from edge_wire.v1 import tunnel_pb2 as pb

FEATURE = "tunnel"
"""What hello says of a node that opens tunnels."""


class TunnelStream:
    """Bytes as frames. A call that ends before `end_of_data` has come is broken, however properly it ended."""

    def __init__(
        self,
        frames: AsyncIterator[pb.TunnelFrame],
        *,
        send: Callable[[pb.TunnelFrame], Awaitable[None]],
        give_up: Callable[[EdgeError], None],
        over: Callable[[], None] = lambda: None,
    ) -> None:
        self._frames = frames
        self._send = send
        self._give_up = give_up
        """Ends the call so that the other side learns of the failure."""
        self._over = over
        """Called when both directions have ended properly."""
        self._is_read_over = False
        self._is_write_over = False
        self._failure: EdgeError | None = None

    @property
    def is_over(self) -> bool:
        """Whether both directions have ended properly."""
        return self._is_read_over and self._is_write_over

    async def read(self) -> bytes:
        while not self._is_read_over:
            self._require_whole()
            frame = await self._next_frame()
            kind = frame.WhichOneof("frame")
            if kind == "data" and len(frame.data) <= CHUNK:
                if frame.data:
                    return frame.data
            elif kind == "end_of_data":
                self._is_read_over = True
                self._tell_when_over()
            elif kind is not None:  # None is a kind of a newer minor version
                raise FrameInvalid(f"a tunnel frame of kind {kind} is not expected here, or it is too large")
        return b""

    async def write(self, data: bytes) -> None:
        self._require_whole()
        if self._is_write_over:
            raise StreamBroken("our side of the tunnel has ended")
        for start in range(0, len(data), CHUNK):
            await self._send(pb.TunnelFrame(data=data[start : start + CHUNK]))

    async def close_write(self) -> None:
        self._require_whole()
        if not self._is_write_over:
            self._is_write_over = True
            await self._send(pb.TunnelFrame(end_of_data=pb.EndOfData()))
            self._tell_when_over()

    def abort(self, failure: EdgeError | None = None) -> None:
        if self._failure is None and not self.is_over:
            self._failure = failure or StreamBroken("the tunnel was given up")
            self._give_up(self._failure)

    async def _next_frame(self) -> pb.TunnelFrame:
        try:
            frame = await anext(self._frames, None)
        except asyncio.CancelledError:
            if is_being_cancelled():
                raise
            frame = None
        except EdgeError as error:
            raise self._failure or error from None
        if frame is None:
            raise self._failure or StreamBroken("the tunnel broke: it ended without its last frame")
        return frame

    def _tell_when_over(self) -> None:
        if self.is_over:
            self._over()

    def _require_whole(self) -> None:
        if self._failure is not None:
            raise self._failure


def to_target(target: Target) -> pb.TunnelTarget:
    """For the wire."""
    return pb.TunnelTarget(host=target.host, port=target.port)


def from_target(message: pb.TunnelTarget) -> Target:
    """From the wire; without a host it is the node itself. Raises TargetInvalid."""
    if message.host:
        return parse_target(message.host, message.port)
    return Target(host="", port=parse_target("localhost", message.port).port, address=None)


def to_failure(error: EdgeError) -> pb.TunnelFailure:
    """For the wire."""
    return pb.TunnelFailure(code=error.code, message=error.message, hint=error.hint)


def from_failure(failure: pb.TunnelFailure) -> EdgeError:
    """The EdgeError of a refusal."""
    return from_code(failure.code, failure.message, hint=failure.hint)
