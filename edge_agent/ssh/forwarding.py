"""Connections that clients open through the node (`ssh -L`, `-D`, `-W`, ProxyJump), if its egress policy allows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from datetime import timedelta

from paramiko.channel import Channel
from paramiko.common import OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED, OPEN_FAILED_CONNECT_FAILED

from edge_agent.reaching import reach
from edge_agent.ssh.channel_stream import ChannelStream
from edge_agent.ssh.deeds import Deeds
from edge_agent.ssh.direct_connection import DirectConnection
from edge_agent.ssh.transport import Transport
from edge_wire.egress import EgressPolicy, Target, parse_target
from edge_wire.errors import EdgeError, TargetDenied, TargetInvalid
from edge_wire.names import host_and_port, printable
from edge_wire.streams import UNLIMITED, ByteStream, Flow, relay

log = logging.getLogger(__name__)

_CONNECT_WITHIN = timedelta(seconds=15)
_NODE_ITSELF = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})


class Forwarding:
    """Connections of one client through the node. On the event loop."""

    def __init__(self, *, policy: EgressPolicy, deeds: Deeds, pool: Callable[[], Executor]) -> None:
        self._policy = policy
        self._deeds = deeds
        self._pool = pool

    async def connect(self, transport: Transport, request: DirectConnection) -> None:
        """Reach what a client wants and join it with a channel, or tell the client why not."""
        try:
            far = await reach(_target(request), self._policy, within=_CONNECT_WITHIN)
        except EdgeError as error:
            is_forbidden = isinstance(error, (TargetDenied, TargetInvalid))
            code = OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED if is_forbidden else OPEN_FAILED_CONNECT_FAILED
            with suppress(RuntimeError):  # the connection is over
                self._pool().submit(transport.refuse, request, code, printable(error.message))
            return
        self._deeds.add_forwarding("local", host_and_port(printable(request.host), request.port))
        await self.join(lambda: transport.confirm(request), far)

    async def join(self, open_channel: Callable[[], Channel], far: ByteStream) -> None:
        """Relay between a channel, which is opened first, and a connection; the end of either is the end of both."""
        flow = Flow()
        try:
            channel = await ChannelStream.open(open_channel, self._pool())
            try:
                await relay(channel, far, limits=UNLIMITED, flow=flow)
            finally:
                channel.abort()
        except EdgeError as error:
            log.debug("a forwarded connection ended: %s", error.message, extra={"code": error.code})
        finally:
            self._deeds.count(received=flow.sent, sent=flow.received)
            far.abort()


def _target(request: DirectConnection) -> Target:
    """Raises TargetInvalid."""
    target = parse_target(request.host, request.port)
    if request.host.lower().removesuffix(".") in _NODE_ITSELF or target.host in _NODE_ITSELF:
        return Target(host="", port=request.port, address=None)
    return target
