"""NodeGate over gRPC: where agents knock. Carries the session's frames on a stream that the agent dialled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from edge_server.enrollment.service import Application, EnrollmentService
from edge_server.nodes.convert import from_facts
from edge_server.rpc.first_frame import first_frame
from edge_server.rpc.gatekeeper import Call
from edge_server.sessions.dialling import NodeDialler
from edge_server.sessions.host import SessionHost
from edge_server.sessions.session import NodeSession
from edge_wire.channel import CROWDED_WITHIN, FRAME_LIMIT
from edge_wire.errors import EdgeError, MessageTooLarge
from edge_wire.v1 import session_pb2 as pb
from edge_wire.v1 import tunnel_pb2


class NodeGateServicer:
    """Enrolls agents and carries their sessions and tunnels."""

    def __init__(
        self,
        *,
        enrollment: EnrollmentService,
        host: SessionHost,
        dialler: NodeDialler,
        ca_certificates: Sequence[bytes],
        admin_urls: Sequence[str],
    ) -> None:
        self._enrollment = enrollment
        self._host = host
        self._dialler = dialler
        self._ca_certificates = ca_certificates
        self._admin_urls = admin_urls

    async def Enroll(self, call: Call, request: pb.EnrollRequest) -> pb.EnrollResponse:
        enrolled = await self._enrollment.enroll(
            Application(
                key_id=request.key_id,
                nonce=request.nonce,
                certificate_request=request.certificate_request,
                token_hash=request.token_hash,
                signature=request.signature,
                facts=from_facts(request.facts),
                agent_version=request.agent_version,
                alias=request.alias,
                labels=request.labels,
                request_id=call.request_id,
                peer=call.peer,
            )
        )
        return pb.EnrollResponse(
            node_id=enrolled.node.id,
            node_name=enrolled.node.name,
            cluster=enrolled.node.cluster_name,
            certificate=enrolled.certificate,
            ca_certificates=self._ca_certificates,
            admin_urls=self._admin_urls,
            created=enrolled.is_new,
        )

    async def Session(self, call: Call, frames: AsyncIterator[pb.AgentFrame]) -> AsyncGenerator[pb.AdminFrame, None]:
        session = await self._host.open(call.node, await first_frame(frames, name="hello", within=CROWDED_WITHIN))
        reader = asyncio.create_task(_read(session, frames))
        try:
            while (frame := await session.next_frame()) is not None:
                yield frame
            await _raise_failure(reader)
        finally:
            reader.cancel()
            self._host.close(session)

    async def Tunnel(
        self, call: Call, frames: AsyncIterator[tunnel_pb2.TunnelFrame]
    ) -> AsyncGenerator[tunnel_pb2.TunnelFrame, None]:
        async with aclosing(self._dialler.arrived(call.node, frames)) as outgoing:
            async for frame in outgoing:
                yield frame


async def _read(session: NodeSession, frames: AsyncIterator[pb.AgentFrame]) -> None:
    """Feed the session until the node says goodbye or its stream ends."""
    is_answered = False
    try:
        async for frame in frames:
            if frame.ByteSize() > FRAME_LIMIT:
                raise MessageTooLarge(f"a session frame has at most {FRAME_LIMIT} bytes")
            if not session.receive(frame):
                is_answered = True
                return
    finally:
        if not is_answered:
            session.end()


async def _raise_failure(reader: asyncio.Task[None]) -> None:
    """Answer a node that broke the protocol with the reason."""
    if reader.done() and not reader.cancelled():
        error = reader.exception()
        if isinstance(error, EdgeError):
            raise error
