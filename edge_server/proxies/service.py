"""Tunnels for operators: who may have one through which node, how many, for how long, and the audit of each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy.orm import Session

from edge_server.audit.service import change_of_node, record
from edge_server.db.database import Database
from edge_server.db.shared_transactions import SharedTransactions
from edge_server.nodes.domain import NodeId, SelectedNode
from edge_server.nodes.selection import find_selected
from edge_server.principals.domain import Caller
from edge_server.proxies.domain import OK, Caps, Census, Ending, Tunnel
from edge_server.sessions.dialling import NodeDialler
from edge_server.sessions.whereabouts import require_not_elsewhere
from edge_wire.errors import EdgeError, NodeNotFound, ShuttingDown, StreamBroken
from edge_wire.streams import ByteStream, Flow, Opened, RelayLimits
from edge_wire.targets import Target
from edge_wire.tasks import OwnedTasks

log = logging.getLogger(__name__)

QUIET = timedelta(seconds=1)
"""A tunnel in which nothing moved for so long has nothing on its way."""
_LOOK_EVERY = 0.25


@dataclass(frozen=True, kw_only=True)
class TunnelLimits:
    """How long each step of a tunnel may take, and how many there may be."""

    connect: timedelta
    relay: RelayLimits
    caps: Caps


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a caller asks for."""

    node: str
    """Reference to the node that dials."""
    target: Target
    via: str
    """How it is asked for: `grpc`, `http` or `socks5`."""


@dataclass(kw_only=True, eq=False)
class _Live:
    """A tunnel with what moves in it."""

    tunnel: Tunnel
    caller: Caller
    began: datetime
    flow: Flow = field(default_factory=Flow)
    stream: ByteStream | None = None
    is_half_closed: bool = False


class TunnelService:
    """Opens tunnels and looks after them until they end."""

    def __init__(
        self,
        *,
        db: Database,
        dialler: NodeDialler,
        admin_id: str,
        limits: TunnelLimits,
        now: Callable[[], datetime],
    ) -> None:
        self._writes = SharedTransactions(db.write)
        self._dialler = dialler
        self._admin_id = admin_id
        self._limits = limits
        self._now = now
        self.census = Census(limits.caps)
        self._live: set[_Live] = set()
        self._tasks = OwnedTasks(log, "a tunnel was not ended as it should")
        self._is_draining = False
        self._has_left = asyncio.Event()

    @asynccontextmanager
    async def open(self, caller: Caller, wish: Wish) -> AsyncIterator[Opened]:
        """A tunnel for the time of the block, which ends it.

        Raises NodeNotFound, NodeAmbiguous, NodeOnOtherAdmin, TunnelLimitReached, ShuttingDown, and what dialling
        raises.
        """
        if self._is_draining:
            raise ShuttingDown
        self.census.require_room(caller.principal.id)
        live = await self._place(caller, wish)
        outcome = StreamBroken.code
        try:
            yield await self._dial(live, wish.target)
            outcome = OK
        except EdgeError as error:
            outcome = error.code
            raise
        finally:
            self._leave(live, outcome)

    def node_deleted(self, node_id: NodeId) -> None:
        """Its tunnels end."""
        self._abort(lambda live: live.tunnel.node.id == node_id, NodeNotFound("the node was deleted"))
        self.census.forget_node(node_id)

    async def drain(self, grace: timedelta) -> None:
        """Open no more, and wait for those there are.

        What is quiet is ended in the direction of its target, which may then end the other one properly.
        """
        self._is_draining = True
        clock = asyncio.get_running_loop().time
        deadline = clock() + grace.total_seconds()
        while self._live and clock() < deadline:
            for live in self._live:
                if clock() - live.flow.moved_at >= QUIET.total_seconds() and not live.is_half_closed:
                    live.is_half_closed = True
                    self._tasks.spawn(_half_close(live))
            self._has_left.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_left.wait(), min(_LOOK_EVERY, max(0.0, deadline - clock())))

    def end_all(self) -> None:
        """Open no more, and end what is open."""
        self._is_draining = True
        self._abort(lambda _live: True, ShuttingDown())

    async def stop(self) -> None:
        """Wait until every tunnel is over and its end recorded; whoever opened them has been stopped."""
        while self._live:
            self._has_left.clear()
            await self._has_left.wait()
        await self._tasks.finish()

    async def _place(self, caller: Caller, wish: Wish) -> _Live:
        """Find the node, write down who wants what of it, and count the tunnel.

        The row `tunnel.open` is committed before the node is asked, in one transaction with those of others who come
        at the same time.
        """
        tunnel_id = str(uuid4())
        now = self._now()

        def work(tx: Session) -> SelectedNode:
            node = find_selected(tx, caller.principal, wish.node)
            require_not_elsewhere(tx, [node], admin_id=self._admin_id, now=now)
            details = {"tunnel": tunnel_id, "target": str(wish.target), "via": wish.via}
            record(tx, caller, change_of_node("tunnel.open", node, details), now)
            return node

        node = await self._writes.run(work)
        tunnel = Tunnel(id=tunnel_id, principal_id=caller.principal.id, node=node)
        live = _Live(tunnel=tunnel, caller=caller, began=now)
        try:
            self.census.enter(tunnel)
        except EdgeError as error:
            self._leave(live, error.code)
            raise
        self._live.add(live)
        return live

    async def _dial(self, live: _Live, target: Target) -> Opened:
        dialled = await self._dialler.dial(live.tunnel.node.id, target, within=self._limits.connect, caller=live.caller)
        live.stream = dialled.stream
        self.census.opened(live.tunnel)
        if self._is_draining:
            raise ShuttingDown
        return Opened(stream=dialled.stream, peer=dialled.peer, limits=self._limits.relay, flow=live.flow)

    def _leave(self, live: _Live, outcome: str) -> None:
        if live.stream is not None:
            live.stream.abort()
        self.census.leave(live.tunnel, Ending(outcome=outcome, sent=live.flow.sent, received=live.flow.received))
        self._live.discard(live)
        self._has_left.set()
        self._tasks.spawn(self._record_end(live, outcome))

    def _abort(self, is_meant: Callable[[_Live], bool], failure: EdgeError) -> None:
        for live in self._live:
            if live.stream is not None and is_meant(live):
                live.stream.abort(failure)

    async def _record_end(self, live: _Live, outcome: str) -> None:
        """Soon after the end: a crash in between loses the row `tunnel.close`, and never `tunnel.open`."""
        now = self._now()
        details = {
            "tunnel": live.tunnel.id,
            "outcome": outcome,
            "seconds": f"{(now - live.began).total_seconds():.1f}",
            "bytes_sent": str(live.flow.sent),
            "bytes_received": str(live.flow.received),
        }
        change = change_of_node("tunnel.close", live.tunnel.node, details)
        try:
            await self._writes.run(lambda tx: record(tx, live.caller, change, now))
        except EdgeError as error:
            log.warning("a tunnel's end is not in the audit log: %s", error.message, extra={"tunnel": live.tunnel.id})


async def _half_close(live: _Live) -> None:
    if live.stream is not None:
        try:
            await live.stream.close_write()
        except EdgeError as error:
            live.stream.abort(error)
