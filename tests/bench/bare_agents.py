"""The floor's nodes: each has its own connection and answers a start with one frame, "started and ended"."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import grpc

from edge_wire.channel import open_channel
from edge_wire.timestamps import to_duration
from edge_wire.v1 import command_pb2, error_pb2, session_pb2_grpc
from edge_wire.v1 import session_pb2 as pb
from tests.bench.agent_host import serve

_AGAIN_AFTER = 0.2


class BareAgents:
    """The nodes of one helper process."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._channels: list[grpc.aio.Channel] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connect all."""
        certificate = Path(self._config["ca_path"]).read_bytes()
        for _ in range(self._config["count"]):
            channel = open_channel(f"https://127.0.0.1:{self._config['port']}", [certificate])
            self._channels.append(channel)
            self._tasks.append(asyncio.create_task(_answer(channel)))

    async def stop(self) -> None:
        """Disconnect all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for channel in self._channels:
            await channel.close()


async def _answer(channel: grpc.aio.Channel) -> None:
    """For ever; a connection that fails while a thousand are made is made again."""
    while True:
        try:
            await _converse(channel)
        except grpc.aio.AioRpcError:
            await asyncio.sleep(_AGAIN_AFTER)


async def _converse(channel: grpc.aio.Channel) -> None:
    call = session_pb2_grpc.NodeGateStub(channel).Session()
    await call.write(pb.AgentFrame(hello=pb.Hello()))
    while (frame := await call.read()) is not grpc.aio.EOF:
        assert isinstance(frame, pb.AdminFrame)
        reports = [report for order in frame.orders.orders for report in _reports(order.execution_id)]
        await call.write(pb.AgentFrame(reports=pb.ExecutionReports(reports=reports)))


def _reports(execution_id: str) -> list[pb.ExecutionReport]:
    end = command_pb2.ExecutionEnd(
        outcome=command_pb2.OUTCOME_OK, started=error_pb2.STARTED_YES, exit_code=0, duration=to_duration(None)
    )
    return [
        pb.ExecutionReport(execution_id=execution_id, started=pb.ExecutionStarted(pid=1)),
        pb.ExecutionReport(execution_id=execution_id, end=end),
    ]


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(serve(BareAgents))
