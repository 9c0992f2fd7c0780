"""One session with a node, the admin's half: frames in, frames out, bound to (node, epoch) and not to a stream.

The transport calls `receive` with what arrives and sends what `next_frame` returns. No gRPC, no database in here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from edge_server.nodes.domain import NodeIdentity
from edge_wire.channel import FRAME_LIMIT
from edge_wire.errors import FrameInvalid
from edge_wire.lazy_timer import LazyTimer
from edge_wire.timestamps import to_duration
from edge_wire.v1 import session_pb2 as pb
from edge_wire.v1 import ssh_pb2, tunnel_pb2

_ORDERS_LIMIT = 200_000
"""Orders that may wait for one node before the session is given up."""
_COMPANY_SECONDS = 5.0
"""How long an order waits for company: to acknowledge a thousand ends while a thousand others come in delays those, and
whoever runs one command after the other on a node has it acknowledged with the next one."""
_SSH = frozenset({"ssh_question", "ssh_reports", "ssh_inventory"})


@dataclass(frozen=True, kw_only=True)
class SessionLimits:
    """The numbers of one session."""

    ping_interval: timedelta = timedelta(seconds=15)
    dead_after: timedelta = timedelta(seconds=45)

    def to_message(self) -> pb.SessionLimits:
        """For the welcome."""
        return pb.SessionLimits(
            ping_interval=to_duration(self.ping_interval),
            dead_after=to_duration(self.dead_after),
            max_frame_bytes=FRAME_LIMIT,
        )


class ReportSink(Protocol):
    """Who wants to know what happens in sessions; told on the event loop, must not block."""

    def session_opened(self, session: NodeSession, inventory: Sequence[pb.ExecutionInventory]) -> None: ...

    def session_closed(self, session: NodeSession) -> None: ...

    def reported(self, session: NodeSession, reports: Sequence[pb.ExecutionReport]) -> None: ...


class TunnelSink(Protocol):
    """Who asked for tunnels over sessions; told on the event loop, must not block."""

    def session_closed(self, session: NodeSession) -> None: ...

    def refused(self, session: NodeSession, refusal: tunnel_pb2.TunnelRefused) -> None: ...


class SshSink(Protocol):
    """Who answers what nodes ask and report about SSH; told on the event loop, must not block."""

    def session_opened(self, session: NodeSession, server: ssh_pb2.SshServerFacts) -> None: ...

    def asked(self, session: NodeSession, question: ssh_pb2.SshQuestion) -> None: ...

    def reported(self, session: NodeSession, reports: Sequence[ssh_pb2.SshReport]) -> None: ...

    def counted(self, session: NodeSession, inventory: ssh_pb2.SshInventory) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Sinks:
    """Who is told of what happens in sessions."""

    reports: ReportSink
    tunnels: TunnelSink
    ssh: SshSink


class NodeSession:
    """The admin's half of one session."""

    def __init__(
        self,
        *,
        node: NodeIdentity,
        epoch: int,
        welcome: pb.Welcome,
        features: Collection[str],
        has_ssh: bool,
        limits: SessionLimits,
        sinks: Sinks,
        clock: Callable[[], float],
    ) -> None:
        self.node = node
        self.epoch = epoch
        self.features = frozenset(features)
        """Optional abilities of the node's agent."""
        self.has_ssh = has_ssh
        """Whether the node has an SSH server."""
        self._limits = limits
        self._sinks = sinks
        self._clock = clock
        self._urgent: deque[pb.AdminFrame] = deque([pb.AdminFrame(welcome=welcome)])
        self._orders: list[pb.ExecutionOrder] = []
        self._goodbye: pb.Goodbye | None = None
        self._is_over = False
        self._wake = asyncio.Event()
        self._ping_timer = LazyTimer(self._wake.set)
        self._company_timer = LazyTimer(self._wake.set)
        self._last_heard = clock()
        self._last_ping = clock()
        self._ping_nonce = 0

    @property
    def is_open(self) -> bool:
        """Whether orders still make sense."""
        return self._goodbye is None and not self._is_over

    def order(self, order: pb.ExecutionOrder) -> None:
        """Queue one order; what waits is gathered into one frame."""
        if self._queue(order):
            self._wake.set()

    def order_in_company(self, order: pb.ExecutionOrder) -> None:
        """Queue one that nobody waits for: it goes out in the frame of the next one, or after a moment."""
        if self._queue(order):
            self._company_timer.within(_COMPANY_SECONDS)

    def _queue(self, order: pb.ExecutionOrder) -> bool:
        if not self.is_open:
            return False
        if len(self._orders) >= _ORDERS_LIMIT:
            self.say_goodbye("overloaded", "the node does not keep up with its orders")
            return False
        self._orders.append(order)
        return True

    def tell(self, frame: pb.AdminFrame) -> None:
        """Send one frame before all orders that wait."""
        if self.is_open:
            self._urgent.append(frame)
            self._wake.set()

    def say_goodbye(self, code: str, message: str, retry_after: timedelta | None = None) -> None:
        """End the session with a last frame."""
        if self._goodbye is None:
            self._goodbye = pb.Goodbye(code=code, message=message, retry_after=to_duration(retry_after))
            self._wake.set()

    def end(self) -> None:
        """The transport is gone: nothing more is sent."""
        self._is_over = True
        self._ping_timer.cancel()
        self._company_timer.cancel()
        self._wake.set()

    def receive(self, frame: pb.AgentFrame) -> bool:
        """Take one frame; False after the node's goodbye, which is answered with the same code. Raises FrameInvalid."""
        self._last_heard = self._clock()
        kind = frame.WhichOneof("frame")
        if kind == "reports":
            self._sinks.reports.reported(self, frame.reports.reports)
        elif kind == "tunnel_refused":
            self._sinks.tunnels.refused(self, frame.tunnel_refused)
        elif kind in _SSH:
            self._receive_ssh(frame)
        elif kind == "ping":
            self._urgent.append(pb.AdminFrame(pong=pb.Pong(nonce=frame.ping.nonce)))
            self._wake.set()
        elif kind == "goodbye":
            self._orders.clear()  # the node takes no more
            self.say_goodbye(frame.goodbye.code, "the node said goodbye")
            return False
        elif kind not in {"pong", None}:  # None is a kind of a newer minor version
            raise FrameInvalid(f"a session frame of kind {kind} is not expected here")
        return True

    def _receive_ssh(self, frame: pb.AgentFrame) -> None:
        if frame.HasField("ssh_question"):
            self._sinks.ssh.asked(self, frame.ssh_question)
        elif frame.HasField("ssh_reports"):
            self._sinks.ssh.reported(self, frame.ssh_reports.reports)
        else:
            self._sinks.ssh.counted(self, frame.ssh_inventory)

    async def next_frame(self) -> pb.AdminFrame | None:
        """What to send next; None when everything was said or the node is dead."""
        while True:
            if self._is_over:
                return None
            frame = self._take()
            if frame is not None:
                return frame
            if self._goodbye is not None:
                self._is_over = True
                return pb.AdminFrame(goodbye=self._goodbye)
            self._wake.clear()
            if not await self._wait_or_ping():
                return None

    def _take(self) -> pb.AdminFrame | None:
        if self._urgent:
            return self._urgent.popleft()
        if not self._orders:
            return None
        taken = _fitting(self._orders, FRAME_LIMIT)
        del self._orders[: len(taken)]
        frame = pb.AdminFrame()
        frame.orders.orders.extend(taken)
        return frame

    async def _wait_or_ping(self) -> bool:
        """Wait until there is something to send; queues a ping after silence.

        False when the node is dead: silent for too long, and it was asked.
        """
        now = self._clock()
        silence = now - max(self._last_heard, self._last_ping)
        remaining = self._limits.ping_interval.total_seconds() - silence
        if remaining > 0:
            self._ping_timer.within(remaining)
            await self._wake.wait()
            return True
        if self._last_ping > self._last_heard and now - self._last_heard > self._limits.dead_after.total_seconds():
            return False
        self._ping_nonce += 1
        self._last_ping = now
        self._urgent.append(pb.AdminFrame(ping=pb.Ping(nonce=self._ping_nonce)))
        return True


def _fitting(orders: Sequence[pb.ExecutionOrder], limit: int) -> list[pb.ExecutionOrder]:
    """As many of the first orders as fit into one frame, at least one."""
    taken: list[pb.ExecutionOrder] = []
    size = 0
    for order in orders:
        size += order.ByteSize() + 8
        if taken and size > limit // 2:
            break
        taken.append(order)
    return taken
