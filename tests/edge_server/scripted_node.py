"""A node whose agent is the test: real credential and real streams, but only the frames that a test sends."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from uuid import uuid4

import psycopg

from edge_agent.enroll import Wishes, enroll
from edge_agent.identity import load_or_make_keys
from edge_server.db.tables import metadata
from edge_wire import calls, version
from edge_wire.channel import open_channel
from edge_wire.errors import EdgeError, StreamBroken
from edge_wire.v1 import command_pb2, error_pb2, session_pb2_grpc
from edge_wire.v1 import session_pb2 as pb
from tests.support.eventually import eventually
from tests.support.harness import Installation

UNKNOWN_KIND = b"\xba\x06\x02\x08\x01"
"""A serialised frame whose only field, number 103, no program of today knows."""


class Line:
    """One session stream of a node; what arrives is gathered while the test looks elsewhere."""

    def __init__(self, site: Installation, token: str, *, answers_pings: bool) -> None:
        self._channel = open_channel(site.admin.address.urls[0], [site.admin.authority.der])
        self._conversation = calls.converse(session_pb2_grpc.NodeGateStub(self._channel).Session, token=token)
        self._answers_pings = answers_pings
        self.frames: list[pb.AdminFrame] = []
        self.failure: EdgeError | None = None
        self.is_over = False
        self._reading = asyncio.create_task(self._read())

    async def say(self, **frame: object) -> None:
        await self._write(pb.AgentFrame(**frame))  # type: ignore[arg-type]  # one field of the oneof

    async def say_raw(self, data: bytes) -> None:
        await self._write(pb.AgentFrame.FromString(data))

    async def report(self, execution_id: str, **report: object) -> None:
        one = pb.ExecutionReport(execution_id=execution_id, **report)  # type: ignore[arg-type]  # one field of the oneof
        await self.say(reports=pb.ExecutionReports(reports=[one]))

    async def welcome(self) -> pb.Welcome:
        await eventually(lambda: self.frames or self.is_over, what="an answer to hello")
        assert self.failure is None, self.failure
        assert self.frames[0].WhichOneof("frame") == "welcome"
        return self.frames[0].welcome

    def kinds(self) -> list[str | None]:
        return [frame.WhichOneof("frame") for frame in self.frames]

    def orders(self, execution_id: str = "") -> list[pb.ExecutionOrder]:
        orders = [order for frame in self.frames for order in frame.orders.orders]
        return [order for order in orders if execution_id in {"", order.execution_id}]

    def order_kinds(self, execution_id: str = "") -> list[str | None]:
        return [order.WhichOneof("order") for order in self.orders(execution_id)]

    async def ordered(self, kind: str, execution_id: str = "") -> pb.ExecutionOrder:
        await eventually(lambda: kind in self.order_kinds(execution_id), what=f"the order {kind}")
        return next(order for order in self.orders(execution_id) if order.WhichOneof("order") == kind)

    async def answered(self) -> None:
        """Wait until the admin has taken everything that was sent before."""
        nonce = uuid4().int % 2**60
        await self.say(ping=pb.Ping(nonce=nonce))
        await eventually(lambda: any(frame.pong.nonce == nonce for frame in self.frames), what="a pong")

    async def over(self) -> EdgeError | None:
        """Wait for the end of the stream and return why, None when it was closed without an error."""
        await eventually(lambda: self.is_over, what="the end of the session")
        return self.failure

    async def goodbye(self) -> pb.Goodbye:
        await self.over()
        assert self.kinds()[-1] == "goodbye", (self.kinds(), self.failure)
        return self.frames[-1].goodbye

    async def cut(self) -> None:
        """Leave without a word."""
        self._conversation.close()
        await asyncio.wait({self._reading})
        await self._channel.close()

    async def _write(self, frame: pb.AgentFrame) -> None:
        with suppress(EdgeError):  # refused before it was said: why is what reading ends with
            await self._conversation.write(frame)

    async def _read(self) -> None:
        try:
            async for frame in self._conversation:
                self.frames.append(frame)
                if self._answers_pings and frame.HasField("ping"):
                    await self.say(pong=pb.Pong(nonce=frame.ping.nonce))
        except EdgeError as error:
            self.failure = error
        finally:
            self.is_over = True


class ScriptedNode:
    """An enrolled node without an agent."""

    def __init__(self, site: Installation, name: str, node_id: str, token: str) -> None:
        self.site, self.name, self.id, self.token = site, name, node_id, token
        self.instance_id = str(uuid4())
        self.lines: list[Line] = []

    def dial(self, *, answers_pings: bool = True) -> Line:
        """A stream on which nothing was said yet."""
        self.lines.append(Line(self.site, self.token, answers_pings=answers_pings))
        return self.lines[-1]

    async def refusal(self) -> EdgeError | None:
        """Why it is not let in. When that arrives while hello is being written it is lost; agents try again then."""
        failure: EdgeError | None = None
        for _ in range(10):
            line = self.dial()
            await line.say(hello=self.hello())
            failure = await line.over()
            if not isinstance(failure, StreamBroken):
                break
        return failure

    def hello(
        self,
        *,
        instance_id: str = "",
        executions: Sequence[pb.ExecutionInventory] = (),
        labels: Mapping[str, str] | None = None,
        protocol: pb.ProtocolVersion | None = None,
    ) -> pb.Hello:
        return pb.Hello(
            protocol=protocol or version.protocol(),
            instance_id=instance_id or self.instance_id,
            agent_version="0",
            executions=executions,
            labels=labels,
        )

    async def open(
        self,
        *,
        answers_pings: bool = True,
        instance_id: str = "",
        executions: Sequence[pb.ExecutionInventory] = (),
        labels: Mapping[str, str] | None = None,
    ) -> Line:
        """A session that was welcomed."""
        line = self.dial(answers_pings=answers_pings)
        await line.say(hello=self.hello(instance_id=instance_id, executions=executions, labels=labels))
        await line.welcome()
        return line


@contextmanager
def held_database(site: Installation) -> Iterator[None]:
    """While it is held, whatever the admin wants to write waits."""
    if "database_url" not in site.database:
        holder = sqlite3.connect(site.directory / "admin" / "edge-server.db", isolation_level=None)
        try:
            holder.execute("BEGIN IMMEDIATE")
            yield
        finally:
            holder.close()
        return
    with psycopg.connect(site.database["database_url"].replace("+psycopg", "")) as connection:
        connection.execute(f"LOCK TABLE {', '.join(metadata.tables)} IN EXCLUSIVE MODE")
        yield


@asynccontextmanager
async def a_node(site: Installation, name: str, *, cluster: str = "default") -> AsyncIterator[ScriptedNode]:
    """An enrolled node without an agent; its streams are closed at the end."""
    directory = site.directory / name
    directory.mkdir(mode=0o700)
    key = await site.enrollment_key(cluster)
    identity = await enroll(directory, key, Wishes(alias=name, labels={}))
    node = ScriptedNode(site, name, identity.node_id, load_or_make_keys(directory).token)
    try:
        yield node
    finally:
        for line in node.lines:
            await line.cut()


async def run_on(site: Installation, *names: str, **spec: object) -> command_pb2.CreateCommandResponse:
    """Ask for a command on these nodes; a shell line unless the options say otherwise."""
    request = command_pb2.CreateCommandRequest(spec=command_pb2.CommandSpec(**spec))  # type: ignore[arg-type]
    request.selector.nodes.extend(names)
    async with site.operator() as admin:
        return await admin.call(admin.commands.Create, request)


async def executions_of(site: Installation, command_id: str) -> dict[str, command_pb2.Execution]:
    """Node name → execution, as they are stored."""
    async with site.operator() as admin:
        request = command_pb2.GetCommandRequest(command_id=command_id)
        shown = await admin.call(admin.commands.Get, request)
    return {execution.node_name: execution for execution in shown.executions}


async def outcomes_of(site: Installation, command_id: str) -> dict[str, str]:
    """Node name → outcome in lower case, empty while it is open."""
    found = await executions_of(site, command_id)
    return {name: outcome_word(one.end) if one.HasField("end") else "" for name, one in found.items()}


async def ended(site: Installation, command_id: str, *, within: float = 15.0) -> dict[str, str]:
    """Wait until every execution has an outcome that is stored."""

    async def outcomes() -> dict[str, str] | None:
        found = await outcomes_of(site, command_id)
        return found if all(found.values()) else None

    found = await eventually(outcomes, within=within, what="every outcome")
    assert found is not None
    return found


async def cancel(site: Installation, command_id: str) -> tuple[int, int]:
    """Cancel; how many never start and how many are told to end."""
    async with site.operator() as admin:
        done = await admin.call(admin.commands.Cancel, command_pb2.CancelCommandRequest(command_id=command_id))
    return done.not_started_count, done.cancelling_count


def outcome_word(end: command_pb2.ExecutionEnd) -> str:
    """`OUTCOME_OK` as `ok`."""
    return command_pb2.Outcome.Name(end.outcome).removeprefix("OUTCOME_").lower()


def ok(*, stdout_bytes: int = 0) -> command_pb2.ExecutionEnd:
    """An end as agents report it when all went well."""
    return command_pb2.ExecutionEnd(
        outcome=command_pb2.OUTCOME_OK, started=error_pb2.STARTED_YES, exit_code=0, stdout_bytes=stdout_bytes
    )
