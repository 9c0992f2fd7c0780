"""Tunnels on the node: dialling what an admin asks for, and carrying its bytes to the admin.

Each tunnel is a call of its own on a second connection, so that bulk never delays a ping of the session.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

import grpc

from edge_agent.far_ends import Dialled, FarEnd, Recording, SshConnection, SshServer
from edge_agent.reaching import reach
from edge_wire import calls
from edge_wire.channel import open_channel
from edge_wire.egress import EgressPolicy
from edge_wire.errors import EdgeError
from edge_wire.targets import SSH_PORT
from edge_wire.tasks import OwnedTasks
from edge_wire.tunnel_call import carried_by
from edge_wire.tunnel_frames import from_target, to_failure
from edge_wire.v1 import session_pb2_grpc
from edge_wire.v1 import tunnel_pb2 as pb

log = logging.getLogger(__name__)

_LONGEST_CONNECT = timedelta(minutes=5)

Refuse = Callable[[pb.TunnelRefused], None]
Trust = tuple[str, tuple[bytes, ...]]
"""An admin's URL, and the CA certificates by which it is known."""


class Tunnels:
    """The tunnels of this agent."""

    def __init__(self, *, policy: EgressPolicy, token: str, ssh: SshServer | None) -> None:
        self._policy = policy
        self._token = token
        self._ssh = ssh
        self._tasks = OwnedTasks(log, "a tunnel failed")
        self._channels: dict[Trust, grpc.aio.Channel] = {}

    def open(self, url: str, roots: Sequence[bytes], request: pb.TunnelRequest, refuse: Refuse) -> None:
        """Open a tunnel for the admin at this URL, or tell it why not."""
        self._tasks.spawn(self._carry((url, tuple(roots)), request, refuse))

    async def stop(self) -> None:
        """End all of them at once."""
        await self._tasks.stop()
        for channel in self._channels.values():
            await channel.close()

    async def _carry(self, admin: Trust, request: pb.TunnelRequest, refuse: Refuse) -> None:
        try:
            end = await self._far_end(request)
        except EdgeError as error:
            refuse(pb.TunnelRefused(tunnel_id=request.tunnel_id, failure=to_failure(error)))
            return
        try:
            await self._bring(admin, request.tunnel_id, end)
        except EdgeError as error:
            log.debug("a tunnel ended: %s", error.message, extra={"code": error.code, "tunnel": request.tunnel_id})
        finally:
            end.close()

    async def _far_end(self, request: pb.TunnelRequest) -> FarEnd:
        """What is at the end of a tunnel. Raises what `reach` raises, SshUnsupported, SshRecordingNotFound."""
        if request.target.ssh_recording:
            return Recording(self._ssh, request.target.ssh_recording)
        target = from_target(request.target)
        if target.is_self and target.port == SSH_PORT:
            return SshConnection(self._ssh, request)
        within = min(_LONGEST_CONNECT, timedelta(milliseconds=request.connect_timeout_ms))
        return Dialled(await reach(target, self._policy, within=within))

    async def _bring(self, admin: Trust, tunnel_id: str, end: FarEnd) -> None:
        """Carry what was reached to the admin until it is over."""
        stub = session_pb2_grpc.NodeGateStub(self._channel(admin))
        conversation = calls.converse(stub.Tunnel, token=self._token)
        async with carried_by(conversation) as near:
            opened = pb.TunnelOpened(peer=end.peer)
            await conversation.write(pb.TunnelFrame(arrival=pb.TunnelArrival(tunnel_id=tunnel_id, opened=opened)))
            await end.join(near)

    def _channel(self, admin: Trust) -> grpc.aio.Channel:
        if admin not in self._channels:
            self._channels[admin] = open_channel(*admin)
        return self._channels[admin]
