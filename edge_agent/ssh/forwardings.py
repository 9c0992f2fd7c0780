"""All that one client has forwarded: connections through the node, ports that lead back to it, its SSH agent."""

from __future__ import annotations

import logging

from edge_agent.runner.account import Account
from edge_agent.ssh.agent_forwarding import AgentForwarding
from edge_agent.ssh.bridge import Bridge
from edge_agent.ssh.deeds import Deeds
from edge_agent.ssh.direct_connection import DirectConnection
from edge_agent.ssh.forwarding import Forwarding
from edge_agent.ssh.pool import Pool
from edge_agent.ssh.remote_forwarding import RemoteForwarding
from edge_agent.ssh.transport import Transport
from edge_wire.egress import EgressPolicy
from edge_wire.tasks import OwnedTasks

log = logging.getLogger(__name__)


class Forwardings:
    """The forwardings of one client. Asked for in the transport's thread, done on the event loop."""

    def __init__(
        self, transport: Transport, *, policy: EgressPolicy, bridge: Bridge, deeds: Deeds, max_connections: int
    ) -> None:
        self._transport = transport
        self._bridge = bridge
        self._deeds = deeds
        self._pool = Pool(2 * max_connections)
        self._tasks = OwnedTasks(log, "a part of an SSH connection failed")
        self._forwarding = Forwarding(policy=policy, deeds=deeds, pool=self._pool.get)
        self._remote = RemoteForwarding(
            transport=transport, forwarding=self._forwarding, deeds=deeds, max_connections=max_connections
        )
        self._agent = AgentForwarding(transport=transport, forwarding=self._forwarding)
        self.connecting = 0
        """Connections that are being opened for the client, or are open."""

    @property
    def agent_path(self) -> str:
        """Where programs find the client's agent; empty when it offers none."""
        return self._agent.path

    def connect(self, request: DirectConnection) -> None:
        """Open a connection for the client, or tell it why not. It counts from now on: more may come at once."""
        self._transport.expect(request)
        self._bridge.soon(lambda: self._tasks.spawn(self._connect(request)))

    def open_port(self, address: str, port: int, account: Account) -> int:
        """Listen for the client; returns the port, or 0 when that cannot be."""
        return self._bridge.wait_for(self._remote.open(address, port, is_root=account.uid == 0)) or 0

    def close_port(self, address: str, port: int) -> None:
        """Listen no more."""
        self._bridge.wait_for(self._remote.close(address, port))

    def open_agent(self, account: Account) -> bool:
        """Offer the client's agent to its programs."""
        self._bridge.wait_for(self._agent.open(account))
        if self._agent.path:
            self._deeds.add_forwarding("agent")
        return bool(self._agent.path)

    async def stop(self) -> None:
        """End everything; the transport is over."""
        await self._remote.stop()
        await self._agent.stop()
        await self._tasks.stop()
        await self._pool.stop()

    async def _connect(self, request: DirectConnection) -> None:
        self.connecting += 1
        try:
            await self._forwarding.connect(self._transport, request)
        finally:
            self._transport.give_up(request)
            self.connecting -= 1
