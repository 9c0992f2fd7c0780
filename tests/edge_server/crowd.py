"""Many nodes without agents: real sessions over a few TLS connections, on which each node runs what it is told.

The process of place N ends with the exit code N % 3 after it wrote `from NAME`; a test says when processes may end.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from uuid import uuid4

import grpc
from sqlalchemy import select
from sqlalchemy.orm import Session

from edge_server.clusters.models import ClusterRow
from edge_server.nodes.models import AliasRow, NodeRow
from edge_wire import calls, credentials, version
from edge_wire.channel import open_channel
from edge_wire.errors import EdgeError
from edge_wire.v1 import command_pb2, error_pb2, session_pb2_grpc
from edge_wire.v1 import session_pb2 as pb
from tests.support.eventually import eventually
from tests.support.harness import Installation

_SESSIONS_PER_CONNECTION = 100


class CrowdNode:
    """One node's session, and what happened on it."""

    def __init__(self, crowd: Crowd, place: int) -> None:
        self.crowd = crowd
        self.place = place
        self.name = f"n{place:03}"
        self.id = str(uuid4())
        self.token = credentials.new_token("node")
        self.is_welcome = False
        self.failure: EdgeError | None = None
        self._conversation: calls.Conversation[pb.AgentFrame, pb.AdminFrame]

    @property
    def exit_code(self) -> int:
        return self.place % 3

    async def live(self, channel: grpc.aio.Channel) -> None:
        """Open the session and do what it says until it ends."""
        self._conversation = calls.converse(session_pb2_grpc.NodeGateStub(channel).Session, token=self.token)
        hello = pb.Hello(protocol=version.protocol(), instance_id=str(uuid4()), agent_version="0")
        try:
            await self._conversation.write(pb.AgentFrame(hello=hello))
            async for frame in self._conversation:
                await self._take(frame)
        except EdgeError as error:
            self.failure = error
        finally:
            self._conversation.close()

    async def _take(self, frame: pb.AdminFrame) -> None:
        kind = frame.WhichOneof("frame")
        if kind == "welcome":
            self.is_welcome = True
        elif kind == "ping":
            await self._conversation.write(pb.AgentFrame(pong=pb.Pong(nonce=frame.ping.nonce)))
        for order in frame.orders.orders:
            if order.HasField("start"):
                self.crowd.starts[order.execution_id] += 1
                self.crowd.tasks.create_task(self._run(order.execution_id))
            elif order.HasField("acknowledge_end"):
                self.crowd.acknowledged[order.execution_id] += 1

    async def _run(self, execution_id: str) -> None:
        with suppress(EdgeError):  # of a session that ended; what was not reported is missed by the test
            await self._run_to_its_end(execution_id)

    async def _run_to_its_end(self, execution_id: str) -> None:
        await self._report(execution_id, started=pb.ExecutionStarted(pid=1))
        await self.crowd.permission()
        data = f"from {self.name}".encode()
        chunk = command_pb2.OutputChunk(stream=command_pb2.OUTPUT_STREAM_STDOUT, data=data)
        await self._report(execution_id, output=chunk)
        outcome = command_pb2.OUTCOME_FAILED if self.exit_code else command_pb2.OUTCOME_OK
        end = command_pb2.ExecutionEnd(
            outcome=outcome, started=error_pb2.STARTED_YES, exit_code=self.exit_code, stdout_bytes=len(data)
        )
        await self._report(execution_id, end=end)
        self.crowd.reported[execution_id] += 1

    async def _report(self, execution_id: str, **report: object) -> None:
        one = pb.ExecutionReport(execution_id=execution_id, **report)  # type: ignore[arg-type]  # one field of the oneof
        await self._conversation.write(pb.AgentFrame(reports=pb.ExecutionReports(reports=[one])))


class Crowd:
    """Nodes with sessions, and how often each thing happened to each execution."""

    def __init__(self, size: int, tasks: asyncio.TaskGroup) -> None:
        self.nodes = [CrowdNode(self, place) for place in range(size)]
        self.tasks = tasks
        self.starts: Counter[str] = Counter()
        self.reported: Counter[str] = Counter()
        self.acknowledged: Counter[str] = Counter()
        self._permissions = asyncio.Semaphore(0)
        self._is_free = False

    def let_end(self, count: int) -> None:
        """Let so many more processes end."""
        for _ in range(count):
            self._permissions.release()

    def let_all_end(self) -> None:
        """Let every process end as soon as it runs."""
        self._is_free = True
        self.let_end(len(self.nodes))

    async def permission(self) -> None:
        """Wait until one more may end."""
        if not self._is_free:
            await self._permissions.acquire()

    def is_online(self) -> bool:
        """Whether every node has its session."""
        assert self.failures() == []
        return all(node.is_welcome for node in self.nodes)

    def failures(self) -> list[EdgeError]:
        """Of sessions that broke."""
        return [node.failure for node in self.nodes if node.failure is not None]


@asynccontextmanager
async def a_crowd(site: Installation, size: int) -> AsyncIterator[Crowd]:
    """That many nodes in the default cluster, all online."""
    channels = [
        open_channel(site.admin.address.urls[0], [site.admin.authority.der])
        for _ in range(0, size, _SESSIONS_PER_CONNECTION)
    ]
    async with asyncio.TaskGroup() as tasks:
        crowd = Crowd(size, tasks)
        await site.admin.db.write(lambda tx: _insert(tx, crowd))
        living = [
            tasks.create_task(node.live(channels[node.place // _SESSIONS_PER_CONNECTION])) for node in crowd.nodes
        ]
        await eventually(crowd.is_online, within=60, what="every session")
        try:
            yield crowd
        finally:
            crowd.let_all_end()
            for session in living:
                session.cancel()
            for channel in channels:
                await channel.close()


def _insert(tx: Session, crowd: Crowd) -> None:
    cluster_id = tx.scalars(select(ClusterRow.id).where(ClusterRow.name == "default")).one()
    now = datetime.now(UTC)
    tx.add_all(
        NodeRow(
            id=node.id,
            cluster_id=cluster_id,
            name=node.name,
            key_fingerprint=f"key of {node.id}".encode(),
            token_hash=credentials.hash_token(node.token),
            certificate=b"certificate",
            facts={},
            agent_version="0",
            enrolled_at=now,
        )
        for node in crowd.nodes
    )
    tx.flush()
    tx.add_all(AliasRow(node_id=node.id, cluster_id=cluster_id, name=node.name) for node in crowd.nodes)


class Watched:
    """What a watcher of a command heard."""

    def __init__(self) -> None:
        self.ends: dict[str, list[command_pb2.ExecutionEnd]] = defaultdict(list)
        self.output: dict[str, bytes] = defaultdict(bytes)
        self.finished: command_pb2.CommandFinished | None = None
        self.gaps = 0


async def watch(site: Installation, command_id: str) -> Watched:
    """Watch a command to its end over one stream; a stream that breaks is a failure."""
    heard = Watched()
    async with site.operator() as admin:
        request = command_pb2.WatchCommandRequest(command_id=command_id)
        async for response in calls.stream(admin.commands.Watch, request, token=admin.token):
            for event in response.events:
                heard.gaps += event.HasField("gap")
                heard.output[event.execution_id] += event.output.data
                if event.HasField("end"):
                    heard.ends[event.execution_id].append(event.end)
            if response.HasField("finished"):
                heard.finished = response.finished
    return heard
