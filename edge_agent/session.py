"""One session with an admin, the agent's half: frames in, frames out. No gRPC in here.

The transport calls `receive` with what arrives and sends what `next_frame` returns.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from edge_agent.executions.reports import Output, Report
from edge_wire import tunnel_frames, version
from edge_wire.channel import FRAME_LIMIT
from edge_wire.errors import FrameInvalid, ProtocolUnsupported
from edge_wire.lazy_timer import LazyTimer
from edge_wire.timestamps import to_timestamp
from edge_wire.v1 import node_pb2, ssh_pb2, tunnel_pb2
from edge_wire.v1 import session_pb2 as pb

DEFAULT_PING_INTERVAL = timedelta(seconds=15)
DEFAULT_DEAD_AFTER = timedelta(seconds=45)
FEATURES = (tunnel_frames.FEATURE,)
"""Optional abilities that hello names."""
_STARTED_WAITS = 0.2
"""Seconds that "started" waits for company: a short command's end goes into the same frame."""
_SSH = frozenset({"ssh_answer", "ssh_acknowledgement", "ssh_end"})


class ExecutionOrders(Protocol):
    """What the session needs of executions."""

    def inventory(self) -> list[pb.ExecutionInventory]: ...

    def attach(self, send: Callable[[Report], None]) -> None: ...

    def detach(self) -> None: ...

    def receive(self, order: pb.ExecutionOrder) -> None: ...


class SshConversation(Protocol):
    """What the session needs of the SSH server."""

    @property
    def facts(self) -> ssh_pb2.SshServerFacts | None: ...

    def attach(self, send: Callable[[pb.AgentFrame], None]) -> None: ...

    def detach(self) -> None: ...

    def receive(self, frame: pb.AdminFrame) -> None: ...


class TunnelRequests(Protocol):
    """Who opens tunnels for the admin of this session."""

    def __call__(
        self, request: tunnel_pb2.TunnelRequest, refuse: Callable[[tunnel_pb2.TunnelRefused], None]
    ) -> None: ...


class AgentSession:
    """The agent's half of one session."""

    def __init__(
        self,
        *,
        instance_id: str,
        facts: node_pb2.Facts,
        labels: dict[str, str],
        executions: ExecutionOrders,
        ssh: SshConversation,
        open_tunnel: TunnelRequests,
        welcomed: Callable[[pb.Welcome], None],
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._executions = executions
        self._ssh = ssh
        self._open_tunnel = open_tunnel
        self._welcomed = welcomed
        self._clock = clock
        hello = pb.Hello(
            protocol=version.protocol(),
            instance_id=instance_id,
            agent_version=version.PROGRAM,
            facts=facts,
            time=to_timestamp(now()),
            executions=executions.inventory(),
            labels=labels,
            features=FEATURES,
            ssh=ssh.facts,
        )
        self._urgent: deque[pb.AgentFrame] = deque([pb.AgentFrame(hello=hello)])
        self._reports: deque[Report] = deque()
        self._farewell: pb.Goodbye | None = None
        self._is_over = False
        self._wake = asyncio.Event()
        self._ping_timer = LazyTimer(self._wake.set)
        self._company_timer = LazyTimer(self._wake.set)
        self._ping_interval = DEFAULT_PING_INTERVAL.total_seconds()
        self._dead_after = DEFAULT_DEAD_AFTER.total_seconds()
        self._frame_limit = FRAME_LIMIT
        self._last_heard = self._last_ping = clock()
        self._ping_nonce = 0
        self.is_welcome = False
        self.goodbye: pb.Goodbye | None = None
        """The admin's last frame, once it came."""

    def receive(self, frame: pb.AdminFrame) -> bool:
        """Take one frame; False after the admin's goodbye. Raises FrameInvalid, ProtocolUnsupported."""
        self._last_heard = self._clock()
        kind = frame.WhichOneof("frame")
        if kind == "goodbye":
            self.goodbye = frame.goodbye
            return False
        if not self.is_welcome:
            if kind != "welcome":
                raise FrameInvalid("the admin's first frame is welcome")
            self._take_welcome(frame.welcome)
        elif kind == "orders":
            for order in frame.orders.orders:
                self._executions.receive(order)
        elif kind == "tunnel":
            self._open_tunnel(frame.tunnel, self._refuse_tunnel)
        elif kind in _SSH:
            self._ssh.receive(frame)
        elif kind == "ping":
            self._urgent.append(pb.AgentFrame(pong=pb.Pong(nonce=frame.ping.nonce)))
            self._wake.set()
        elif kind not in {"pong", None}:
            raise FrameInvalid(f"a session frame of kind {kind} is not expected here")
        return True

    def say_goodbye(self, code: str, message: str) -> None:
        """End the session with a last frame."""
        self._farewell = self._farewell or pb.Goodbye(code=code, message=message)
        self._wake.set()

    def end(self) -> None:
        """The transport is gone."""
        self._is_over = True
        self._ping_timer.cancel()
        self._company_timer.cancel()
        if self.is_welcome:
            self._executions.detach()
            self._ssh.detach()
        self._wake.set()

    async def next_frame(self) -> pb.AgentFrame | None:
        """What to send next; None when everything was said or the admin is silent for too long."""
        while not self._is_over:
            frame = self._take()
            if frame is not None:
                return frame
            if self._farewell is not None:
                self._is_over = True
                return pb.AgentFrame(goodbye=self._farewell)
            self._wake.clear()
            if not await self._wait_or_ping():
                return None
        return None

    def _take_welcome(self, welcome: pb.Welcome) -> None:
        if version.agreed_minor(welcome.protocol) is None:
            raise ProtocolUnsupported
        limits = welcome.limits
        if limits.HasField("ping_interval"):
            self._ping_interval = max(0.05, limits.ping_interval.ToTimedelta().total_seconds())
        if limits.HasField("dead_after"):
            self._dead_after = max(self._ping_interval, limits.dead_after.ToTimedelta().total_seconds())
        self._frame_limit = limits.max_frame_bytes or FRAME_LIMIT
        self.is_welcome = True
        self._welcomed(welcome)
        self._executions.attach(self._report)
        self._ssh.attach(self._send_soon)
        self._wake.set()  # the pings are due by other limits now

    def _refuse_tunnel(self, refusal: tunnel_pb2.TunnelRefused) -> None:
        self._send_soon(pb.AgentFrame(tunnel_refused=refusal))

    def _send_soon(self, frame: pb.AgentFrame) -> None:
        self._urgent.append(frame)
        self._wake.set()

    def _report(self, report: Report) -> None:
        if isinstance(report, Output):
            self._reports.extend(report.pieces(self._frame_limit // 2))
        else:
            self._reports.append(report)
        if isinstance(report, pb.ExecutionReport) and report.HasField("started"):
            self._company_timer.within(_STARTED_WAITS)
        else:
            self._wake.set()

    def _take(self) -> pb.AgentFrame | None:
        if self._urgent:
            return self._urgent.popleft()
        if not self._reports:
            return None
        frame = pb.AgentFrame()
        taken = frame.reports.reports
        size = 0
        while self._reports:
            report = self._reports[0]
            size += (report.size if isinstance(report, Output) else report.ByteSize()) + 8
            if taken and size > self._frame_limit // 2:
                break
            if isinstance(report, Output):
                report.write_to(taken.add())
            else:
                taken.append(report)
            self._reports.popleft()
        return frame

    async def _wait_or_ping(self) -> bool:
        """Wait until there is something to send; queues a ping after silence.

        False when the admin is dead: silent for too long, and it was asked.
        """
        now = self._clock()
        remaining = self._ping_interval - (now - max(self._last_heard, self._last_ping))
        if remaining > 0:
            self._ping_timer.within(remaining)
            await self._wake.wait()
            return True
        if self._last_ping > self._last_heard and now - self._last_heard > self._dead_after:
            return False
        self._ping_nonce += 1
        self._last_ping = now
        self._urgent.append(pb.AgentFrame(ping=pb.Ping(nonce=self._ping_nonce)))
        return True
