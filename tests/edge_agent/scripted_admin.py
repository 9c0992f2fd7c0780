"""An admin that is the test: real TLS and real streams, but only the frames that a test sends; and who dials it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc

from edge_agent.app import AgentApp
from edge_agent.executions.reports import Report
from edge_agent.identity import Identity, load_identity, save_identity
from edge_agent.session import AgentSession
from edge_agent.settings import Settings
from edge_agent.status import collect_status
from edge_wire import certificates, version
from edge_wire.channel import SERVER_OPTIONS
from edge_wire.timestamps import to_duration
from edge_wire.v1 import node_pb2, session_pb2_grpc, tunnel_pb2
from edge_wire.v1 import session_pb2 as pb
from tests.support.eventually import eventually

UNKNOWN_KIND = b"\xba\x06\x02\x08\x01"
"""A serialised frame whose only field, number 103, no program of today knows."""
AUTHORITY = certificates.new_authority("test")
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Welcomed = Callable[[pb.Welcome], None]


def ignore(_: pb.Welcome) -> None:
    """For whoever is not interested in welcomes."""


def no_tunnels(request: tunnel_pb2.TunnelRequest, refuse: Callable[[tunnel_pb2.TunnelRefused], None]) -> None:
    """Of an agent that nobody asks for tunnels."""
    raise AssertionError("nobody asks for a tunnel here")


class NoExecutions:
    """A node on which nothing runs."""

    def __init__(self, *inventory: pb.ExecutionInventory) -> None:
        self._inventory = list(inventory)
        self.send: Callable[[Report], None] | None = None
        self.orders: list[pb.ExecutionOrder] = []

    def inventory(self) -> list[pb.ExecutionInventory]:
        return self._inventory

    def attach(self, send: Callable[[Report], None]) -> None:
        self.send = send

    def detach(self) -> None:
        self.send = None

    def receive(self, order: pb.ExecutionOrder) -> None:
        self.orders.append(order)


class NoSsh:
    """A node without an SSH server."""

    facts = None

    def attach(self, send: Callable[[pb.AgentFrame], None]) -> None: ...

    def detach(self) -> None: ...

    def receive(self, frame: pb.AdminFrame) -> None: ...


def a_session(clock: Callable[[], float], *, executions: NoExecutions, welcomed: Welcomed = ignore) -> AgentSession:
    """The agent's half of a session."""
    return AgentSession(
        instance_id="i1",
        facts=node_pb2.Facts(),
        labels={},
        executions=executions,
        ssh=NoSsh(),
        open_tunnel=no_tunnels,
        welcomed=welcomed,
        clock=clock,
        now=lambda: NOON,
    )


def a_welcome(*, ping: float = 15.0, dead: float = 45.0, **fields: object) -> pb.AdminFrame:
    """What an admin answers to hello; `fields` replace what it says by itself."""
    limits = pb.SessionLimits(
        ping_interval=to_duration(timedelta(seconds=ping)), dead_after=to_duration(timedelta(seconds=dead))
    )
    said = {"protocol": version.protocol(), "node_name": "edge01", "cluster": "default", "session_epoch": 1, **fields}
    return pb.AdminFrame(welcome=pb.Welcome(limits=limits, **said))  # type: ignore[arg-type]  # fields of Welcome


class Visit:
    """One session stream of an agent. The hello is answered, not foreseen: an agent may leave on what it is told."""

    def __init__(self, greeting: pb.AdminFrame | None = None) -> None:
        self._greeting = greeting
        self.frames: list[pb.AgentFrame] = []
        self.is_over = False
        self.said_everything = False
        """The agent has closed its side of the stream."""
        self._outbox: asyncio.Queue[pb.AdminFrame | None] = asyncio.Queue()

    def say(self, *frames: pb.AdminFrame) -> None:
        for frame in frames:
            self._outbox.put_nowait(frame)

    def say_goodbye(self, code: str, **fields: object) -> None:
        self.say(pb.AdminFrame(goodbye=pb.Goodbye(code=code, **fields)))  # type: ignore[arg-type]  # fields of Goodbye
        self.hang_up()

    def hang_up(self) -> None:
        """Close the stream behind what was said, without an error."""
        self._outbox.put_nowait(None)

    def kinds(self) -> list[str | None]:
        return [frame.WhichOneof("frame") for frame in self.frames]

    @property
    def hello(self) -> pb.Hello:
        return self.frames[0].hello

    async def heard(self, kind: str, count: int = 1) -> None:
        await eventually(lambda: self.kinds().count(kind) >= count, what=f"{count} frames of the kind {kind}")

    async def over(self) -> None:
        await eventually(lambda: self.is_over, what="the end of the stream")

    async def read(self, frames: AsyncIterator[pb.AgentFrame]) -> None:
        async for frame in frames:
            self.frames.append(frame)
            if self._greeting is not None and len(self.frames) == 1:
                self.say(self._greeting)
        self.said_everything = True

    async def spoken(self) -> AsyncIterator[pb.AdminFrame]:
        while (frame := await self._outbox.get()) is not None:
            yield frame


class ScriptedAdmin(session_pb2_grpc.NodeGateServicer):
    """An admin that says nothing by itself but `greeting` to each hello."""

    def __init__(self) -> None:
        self.greeting: pb.AdminFrame | None = a_welcome()
        self.visits: list[Visit] = []
        self.url = ""
        self._server = grpc.aio.server(options=SERVER_OPTIONS)

    async def start(self) -> None:
        session_pb2_grpc.add_NodeGateServicer_to_server(self, self._server)
        identity = certificates.new_admin_identity(AUTHORITY, "admin")
        credentials = grpc.ssl_server_credentials([(identity.key, identity.certificate_chain)])
        self.url = f"https://127.0.0.1:{self._server.add_secure_port('127.0.0.1:0', credentials)}"
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(0)

    async def visit(self, number: int = 1, *, within: float = 10.0) -> Visit:
        """The visit of this number, once its first frame is here."""

        def found() -> Visit | None:
            return self.visits[number - 1] if len(self.visits) >= number and self.visits[number - 1].frames else None

        visit = await eventually(found, within=within, what=f"visit {number}")
        assert visit is not None
        return visit

    async def Enroll(self, request: pb.EnrollRequest, context: object) -> pb.EnrollResponse:
        raise AssertionError("nobody enrolls here")

    async def Tunnel(
        self, request_iterator: AsyncIterator[tunnel_pb2.TunnelFrame], context: object
    ) -> AsyncIterator[tunnel_pb2.TunnelFrame]:
        raise AssertionError("nobody asked for a tunnel here")
        yield

    async def Session(
        self, request_iterator: AsyncIterator[pb.AgentFrame], context: object
    ) -> AsyncIterator[pb.AdminFrame]:
        visit = Visit(self.greeting)
        self.visits.append(visit)
        reading = asyncio.create_task(visit.read(request_iterator))
        try:
            async for frame in visit.spoken():
                yield frame
        finally:
            visit.is_over = True
            reading.cancel()


@asynccontextmanager
async def an_admin(greeting: pb.AdminFrame | None = None) -> AsyncIterator[ScriptedAdmin]:
    admin = ScriptedAdmin()
    admin.greeting = greeting or admin.greeting
    await admin.start()
    try:
        yield admin
    finally:
        await admin.stop()


def enrolled(data_dir: Path, *urls: str) -> Path:
    """A data directory of a node that knows these admins."""
    data_dir.mkdir(mode=0o700, exist_ok=True)
    identity = Identity(
        node_id="7f9c0d1e-0000-4000-8000-000000000001",
        node_name="edge01",
        cluster="default",
        admin_urls=urls,
        ca_certificates=[AUTHORITY.der],
        certificate=b"certificate",
    )
    save_identity(data_dir, identity)
    return data_dir


@asynccontextmanager
async def an_agent(data_dir: Path, **settings: object) -> AsyncIterator[AgentApp]:
    """A running agent on this data directory."""
    agent = AgentApp(Settings(data_dir=data_dir, **settings))  # type: ignore[arg-type]  # fields of Settings
    await agent.start()
    try:
        yield agent
    finally:
        await agent.stop()


def known_to(data_dir: Path) -> Identity:
    identity = load_identity(data_dir)
    assert identity is not None
    return identity


async def state_of(data_dir: Path, state: str) -> str:
    """Wait until the agent says that it is in this state, and return its problem."""
    await eventually(lambda: collect_status(data_dir)["session"].get("state") == state, what=f"the state {state}")
    return str(collect_status(data_dir)["session"]["error"])
