"""Dialling through nodes: the one way in which this admin reaches a target. It never dials one itself.

The node is asked over its session, dials, and opens `NodeGate.Tunnel` for what it reached; the call and the question
are matched here by the tunnel's id.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

from edge_server.nodes.domain import NodeId, NodeIdentity
from edge_server.principals.domain import Caller
from edge_server.rpc.first_frame import first_frame
from edge_server.rpc.served_tunnel import ServedTunnel
from edge_server.sessions.registry import SessionRegistry
from edge_server.sessions.session import NodeSession
from edge_wire.errors import FrameInvalid, NodeOffline, TargetTimedOut, TunnelUnknown, TunnelUnsupported
from edge_wire.streams import ByteStream
from edge_wire.targets import Target
from edge_wire.tunnel_frames import FEATURE, from_failure, to_target
from edge_wire.v1 import session_pb2
from edge_wire.v1 import tunnel_pb2 as pb

_SPARE = timedelta(seconds=5)
"""What the node may take beyond the dialling itself: to be asked, and to open the call."""


@dataclass(frozen=True, kw_only=True)
class Dialled:
    """A target that a node has reached."""

    stream: ByteStream
    peer: str
    """What the node is connected to, `address:port`; the node's own word."""


@dataclass(kw_only=True)
class _Question:
    """A node that was asked for a tunnel."""

    session: NodeSession
    caller: pb.TunnelCaller
    answer: asyncio.Future[Dialled] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class NodeDialler:
    """Asks nodes for tunnels."""

    def __init__(self, *, registry: SessionRegistry, admin_id: str) -> None:
        self._registry = registry
        self._admin_id = admin_id
        self._questions: dict[str, _Question] = {}
        self._callers: dict[str, tuple[NodeId, pb.TunnelCaller]] = {}

    def caller_of(self, node_id: NodeId, tunnel_id: str) -> pb.TunnelCaller | None:
        """Who asked for a tunnel of this node that is open."""
        owner, caller = self._callers.get(tunnel_id, (None, None))
        return caller if owner == node_id else None

    async def dial(
        self, node_id: NodeId, target: Target, *, within: timedelta, caller: Caller | None = None
    ) -> Dialled:
        """Reach a target through a node, for this caller.

        Raises NodeOffline, TunnelUnsupported, TargetTimedOut, and what the node refused it with: TargetDenied,
        TargetRefused, TargetUnreachable, TargetNotResolved.
        """
        who = pb.TunnelCaller(principal=caller.principal.name, address=caller.peer) if caller is not None else None
        return await self._ask(node_id, pb.TunnelRequest(target=to_target(target), caller=who), within=within)

    async def dial_recording(self, node_id: NodeId, ssh_session_id: str, *, within: timedelta) -> Dialled:
        """The recording of an SSH session of a node, as the bytes that come.

        Raises NodeOffline, TunnelUnsupported, TargetTimedOut, SshRecordingNotFound.
        """
        target = pb.TunnelTarget(ssh_recording=ssh_session_id)
        return await self._ask(node_id, pb.TunnelRequest(target=target), within=within)

    async def _ask(self, node_id: NodeId, request: pb.TunnelRequest, *, within: timedelta) -> Dialled:
        session = self._registry.find(node_id)
        if session is None:
            raise NodeOffline
        if FEATURE not in session.features:
            raise TunnelUnsupported(hint=f"update edge-agent on {session.node.name}")
        tunnel_id = request.tunnel_id = f"{self._admin_id}/{uuid4()}"
        request.connect_timeout_ms = int(within.total_seconds() * 1000)
        question = self._questions[tunnel_id] = _Question(session=session, caller=request.caller)
        session.tell(session_pb2.AdminFrame(tunnel=request))
        try:
            return await self._answer(question, within + _SPARE)
        except BaseException:
            _abandon(question.answer)
            raise
        finally:
            del self._questions[tunnel_id]

    async def arrived(
        self, node: NodeIdentity, frames: AsyncIterator[pb.TunnelFrame]
    ) -> AsyncGenerator[pb.TunnelFrame, None]:
        """Serve the call in which a node brings a tunnel. Raises FrameInvalid, TunnelUnknown."""
        first = await first_frame(frames, name="arrival")
        if first.WhichOneof("frame") != "arrival":
            raise FrameInvalid("a node's first frame of a tunnel is arrival")
        question = self._question(node.id, first.arrival.tunnel_id)
        if question is None:
            raise TunnelUnknown
        tunnel = ServedTunnel(frames)
        question.answer.set_result(Dialled(stream=tunnel.stream, peer=first.arrival.opened.peer))
        self._callers[first.arrival.tunnel_id] = (node.id, question.caller)
        try:
            async for frame in tunnel.outgoing():
                yield frame
        finally:
            del self._callers[first.arrival.tunnel_id]

    def refused(self, session: NodeSession, refusal: pb.TunnelRefused) -> None:
        """The node does not open a tunnel that it was asked for."""
        question = self._question(session.node.id, refusal.tunnel_id)
        if question is not None:
            question.answer.set_exception(from_failure(refusal.failure))

    def session_closed(self, session: NodeSession) -> None:
        """The session is gone: nobody answers what was asked over it."""
        for question in list(self._questions.values()):
            if question.session is session and not question.answer.done():
                question.answer.set_exception(NodeOffline(f"{session.node.name} left while it was dialling"))

    def _question(self, node_id: NodeId, tunnel_id: str) -> _Question | None:
        """What this very node was asked and has not answered yet."""
        question = self._questions.get(tunnel_id)
        is_ours = question is not None and question.session.node.id == node_id and not question.answer.done()
        return question if is_ours else None

    async def _answer(self, question: _Question, within: timedelta) -> Dialled:
        try:
            async with asyncio.timeout(within.total_seconds()):
                return await question.answer
        except TimeoutError:
            raise TargetTimedOut(f"{question.session.node.name} has not answered in time") from None


def _abandon(answer: asyncio.Future[Dialled]) -> None:
    """Nobody wants it any more; it may have come just now."""
    if not answer.cancel() and not answer.cancelled() and answer.exception() is None:
        answer.result().stream.abort()
