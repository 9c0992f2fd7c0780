"""Opening and closing sessions: the claim in the database, the registry, and who is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from edge_server.db.database import Database
from edge_server.db.shared_transactions import Batches, SharedTransactions
from edge_server.nodes import presence
from edge_server.nodes.domain import NodeId, NodeIdentity
from edge_server.sessions.registry import SessionRegistry
from edge_server.sessions.session import NodeSession, SessionLimits, Sinks
from edge_wire import version
from edge_wire.errors import (
    DatabaseUnavailable,
    EdgeError,
    FrameInvalid,
    IdentityInUse,
    ProtocolUnsupported,
    ShuttingDown,
)
from edge_wire.names import check_labels
from edge_wire.tasks import OwnedTasks
from edge_wire.timestamps import from_timestamp, to_timestamp
from edge_wire.v1 import node_pb2
from edge_wire.v1 import session_pb2 as pb

log = logging.getLogger(__name__)

INVENTORY_LIMIT = 20_000
_INSTANCE_ID_LIMIT = 64


@dataclass(frozen=True, kw_only=True)
class AdminFacts:
    """What every welcome says of this admin."""

    admin_id: str
    admin_urls: Sequence[str]
    ca_certificates: Sequence[bytes]


class SessionHost:
    """Holds the sessions of this admin."""

    def __init__(
        self,
        *,
        db: Database,
        registry: SessionRegistry,
        sinks: Sinks,
        admin: AdminFacts,
        limits: SessionLimits,
        facts_from: Callable[[node_pb2.Facts], Mapping[str, Any]],
        now: Callable[[], datetime],
    ) -> None:
        self._db = db
        # A fleet that comes back after an outage opens thousands of sessions at once.
        self._claims: Batches[presence.Claim, int | None] = Batches(
            db.write, lambda tx, claims: presence.open_sessions(tx, claims, now())
        )
        self._writes = SharedTransactions(db.write)
        self._registry = registry
        self._sinks = sinks
        self._admin = admin
        self._limits = limits
        self._facts_from = facts_from
        self._now = now
        self._closing = OwnedTasks(log, "a session's end could not be stored")
        self._is_draining = False

    async def open(self, node: NodeIdentity, frame: pb.AgentFrame) -> NodeSession:
        """Open a session from an agent's first frame.

        Raises FrameInvalid, ProtocolUnsupported, IdentityInUse, LabelInvalid, ShuttingDown.
        """
        if self._is_draining:
            raise ShuttingDown
        hello = _require_hello(frame)
        epoch = await self._claim_or_take_back(node, hello)
        session = NodeSession(
            node=node,
            epoch=epoch,
            welcome=self._welcome(node, epoch, hello),
            features=hello.features,
            has_ssh=hello.HasField("ssh"),
            limits=self._limits,
            sinks=self._sinks,
            clock=asyncio.get_running_loop().time,
        )
        if self._registry.add(session):
            log.info("session opened", extra={"node": node.name, "node_id": node.id, "epoch": epoch})
            self._sinks.reports.session_opened(session, hello.executions)
            if session.has_ssh:
                self._sinks.ssh.session_opened(session, hello.ssh)
        return session

    def close(self, session: NodeSession) -> None:
        """Forget a session whose transport is gone."""
        session.end()
        self._sinks.tunnels.session_closed(session)
        if not self._registry.remove(session):
            return
        log.info("session closed", extra={"node": session.node.name, "node_id": session.node.id})
        self._sinks.reports.session_closed(session)
        self._closing.spawn(self._store_end(session.node.id, session.epoch))

    def drop_node(self, node_id: NodeId) -> None:
        """The node was deleted: its session ends."""
        session = self._registry.find(node_id)
        if session is not None:
            session.say_goodbye("node_deleted", "the node was deleted")

    async def touch(self) -> None:
        """Note that every node with a session here was heard of."""
        now = self._now()
        await self._db.write(lambda tx: presence.touch_sessions(tx, self._admin.admin_id, now))

    def drain(self) -> None:
        """Open no more sessions and say goodbye to those there are."""
        self._is_draining = True
        for session in self._registry:
            session.say_goodbye("shutting_down", "the admin is shutting down")

    async def stop(self) -> None:
        """Wait until the database knows of every end, unless it is down."""
        await self._closing.finish()
        try:
            await self._db.write(lambda tx: presence.clear_sessions(tx, self._admin.admin_id))
        except DatabaseUnavailable as error:
            # A session counts only as long as the admin that holds it is alive.
            log.warning("the sessions' ends are not stored: %s", error.message)

    async def _claim_or_take_back(self, node: NodeIdentity, hello: pb.Hello) -> int:
        """Claim; when the stream goes meanwhile, the claim is stored all the same and must not stay."""
        claiming = asyncio.create_task(self._claim(node, hello))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            self._closing.spawn(self._take_back(node, claiming))
            raise

    async def _take_back(self, node: NodeIdentity, claiming: asyncio.Task[int]) -> None:
        with suppress(EdgeError):
            await self._store_end(node.id, await claiming)

    async def _claim(self, node: NodeIdentity, hello: pb.Hello) -> int:
        now = self._now()
        claim = presence.Claim(
            node_id=node.id,
            instance_id=hello.instance_id,
            admin_id=self._admin.admin_id,
            agent_version=hello.agent_version,
            facts=self._facts_from(hello.facts),
            labels=check_labels(hello.labels, agent=True),
            clock_skew_ms=_skew_ms(hello, now),
        )
        epoch = await self._claims.ask(claim)
        if epoch is None:
            log.warning("identity in use", extra={"node": node.name, "node_id": node.id})
            raise IdentityInUse(
                hint="give one of the two machines an empty data directory and enroll it anew;"
                " five minutes after the other one has stopped this one may come back"
            )
        return epoch

    def _welcome(self, node: NodeIdentity, epoch: int, hello: pb.Hello) -> pb.Welcome:
        protocol = version.protocol()
        protocol.minor = min(protocol.minor, hello.protocol.minor)
        return pb.Welcome(
            protocol=protocol,
            admin_id=self._admin.admin_id,
            admin_version=version.PROGRAM,
            node_id=node.id,
            node_name=node.name,
            cluster=node.cluster_name,
            session_epoch=epoch,
            time=to_timestamp(self._now()),
            admin_urls=self._admin.admin_urls,
            ca_certificates=self._admin.ca_certificates,
            limits=self._limits.to_message(),
        )

    async def _store_end(self, node_id: NodeId, epoch: int) -> None:
        now = self._now()
        try:
            await self._writes.run(lambda tx: presence.close_session(tx, node_id, epoch, now))
        except EdgeError as error:
            # The heartbeat of this admin or the next session of the node puts it right.
            log.warning("session end not stored: %s", error.message, extra={"node_id": node_id})


def _require_hello(frame: pb.AgentFrame) -> pb.Hello:
    if frame.WhichOneof("frame") != "hello":
        raise FrameInvalid("the first frame of a session is hello")
    hello = frame.hello
    if version.agreed_minor(hello.protocol) is None:
        raise ProtocolUnsupported(
            f"the agent speaks protocol {hello.protocol.major}, this admin {version.PROTOCOL_MAJOR}",
            hint="update the older of the two",
        )
    if not hello.instance_id or len(hello.instance_id) > _INSTANCE_ID_LIMIT:
        raise FrameInvalid("hello carries no usable instance id")
    if len(hello.executions) > INVENTORY_LIMIT:
        raise FrameInvalid(f"hello lists more than {INVENTORY_LIMIT} executions")
    return hello


def _skew_ms(hello: pb.Hello, now: datetime) -> int:
    if not hello.HasField("time"):
        return 0
    try:
        theirs = from_timestamp(hello.time)
    except (ValueError, OverflowError):
        return 0
    return round((theirs - now) / timedelta(milliseconds=1))
