"""The floor's server: passes the frames of one exec on over grpc.aio and TLS, and does nothing else.

Without a database, a state machine, credit and permissions. Ends are gathered before they go to the client, as ours.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc

from edge_wire import certificates
from edge_wire.channel import SERVER_OPTIONS
from edge_wire.credit import INITIAL_WINDOW
from edge_wire.timestamps import to_duration
from edge_wire.v1 import command_pb2, session_pb2
from tests.bench.agent_host import serve

_BATCH = 256


class _Exec:
    """One fan-out under way."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        self.ended: list[session_pb2.ExecutionReport] = []
        self.wake = asyncio.Event()


class BareGate:
    """Keeps one queue of frames per node."""

    def __init__(self) -> None:
        self.queues: list[asyncio.Queue[session_pb2.AdminFrame]] = []
        self.running: dict[str, _Exec] = {}

    async def session(
        self, requests: AsyncIterator[session_pb2.AgentFrame], context: Any
    ) -> AsyncIterator[session_pb2.AdminFrame]:
        queue: asyncio.Queue[session_pb2.AdminFrame] = asyncio.Queue()
        self.queues.append(queue)
        reading = asyncio.create_task(self._read(requests))
        try:
            while True:
                yield await queue.get()
        finally:
            reading.cancel()
            self.queues.remove(queue)

    async def _read(self, frames: AsyncIterator[session_pb2.AgentFrame]) -> None:
        async for frame in frames:
            for report in frame.reports.reports:
                run = self.running.get(report.execution_id)
                if run is not None and report.HasField("end"):
                    run.ended.append(report)
                    run.wake.set()


class BareCommands:
    """Takes an exec, sends one start to every node, passes the ends on."""

    def __init__(self, gate: BareGate) -> None:
        self._gate = gate

    async def exec(
        self, requests: AsyncIterator[command_pb2.ExecRequest], context: Any
    ) -> AsyncIterator[command_pb2.ExecResponse]:
        async for request in requests:
            create = request.create
            break
        ids = [str(uuid.uuid4()) for _ in self._gate.queues]
        run = _Exec(len(ids))
        self._gate.running.update(dict.fromkeys(ids, run))
        accepted = command_pb2.CreateCommandResponse(
            command_id=str(uuid.uuid4()),
            targets=[
                command_pb2.Target(execution_id=i, node_id=i, node_name="edge00001", cluster="default") for i in ids
            ],
        )
        for execution_id, queue in zip(ids, self._gate.queues, strict=True):
            queue.put_nowait(_start_frame(execution_id, create.spec))
        yield command_pb2.ExecResponse(watch=command_pb2.WatchCommandResponse(accepted=accepted))
        while run.waiting:
            await run.wake.wait()
            run.wake.clear()
            while run.ended:
                batch, run.ended = run.ended[:_BATCH], run.ended[_BATCH:]
                run.waiting -= len(batch)
                yield _ends(batch)
        for execution_id in ids:
            del self._gate.running[execution_id]
        counts = command_pb2.OutcomeCounts(total=len(ids), ok=len(ids))
        finished = command_pb2.CommandFinished(counts=counts)
        yield command_pb2.ExecResponse(watch=command_pb2.WatchCommandResponse(finished=finished))


def _start_frame(execution_id: str, spec: command_pb2.CommandSpec) -> session_pb2.AdminFrame:
    start = session_pb2.StartExecution(argv=spec.argv, kill_after=to_duration(None), credit=INITIAL_WINDOW)
    order = session_pb2.ExecutionOrder(execution_id=execution_id, start=start)
    return session_pb2.AdminFrame(orders=session_pb2.ExecutionOrders(orders=[order]))


def _ends(reports: list[session_pb2.ExecutionReport]) -> command_pb2.ExecResponse:
    events = [command_pb2.CommandEvent(execution_id=item.execution_id, end=item.end) for item in reports]
    return command_pb2.ExecResponse(watch=command_pb2.WatchCommandResponse(events=events))


class BareAdmin:
    """The listener, as a helper process."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._port = config["port"]
        self._ca_path = config["ca_path"]

    async def start(self) -> None:
        """Listen, and leave the CA certificate where the others read it."""
        authority = certificates.new_authority("bare")
        identity = certificates.new_admin_identity(authority, "bare")
        self._server = grpc.aio.server(options=SERVER_OPTIONS)
        self._gate = BareGate()
        gate = grpc.stream_stream_rpc_method_handler(
            self._gate.session, session_pb2.AgentFrame.FromString, session_pb2.AdminFrame.SerializeToString
        )
        commands = grpc.stream_stream_rpc_method_handler(
            BareCommands(self._gate).exec,
            command_pb2.ExecRequest.FromString,
            command_pb2.ExecResponse.SerializeToString,
        )
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler("edge_wire.v1.NodeGate", {"Session": gate}),
                grpc.method_handlers_generic_handler("edge_wire.v1.CommandService", {"Exec": commands}),
            )
        )
        secret = grpc.ssl_server_credentials([(identity.key, identity.certificate_chain)])
        self._server.add_secure_port(f"127.0.0.1:{self._port}", secret)
        await self._server.start()
        with open(self._ca_path, "wb") as file:
            file.write(authority.der)

    def connected(self) -> int:
        """How many nodes are there."""
        return len(self._gate.queues)

    async def stop(self) -> None:
        """Break off."""
        await self._server.stop(0)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(serve(BareAdmin))
