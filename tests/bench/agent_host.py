"""A process that carries many simulated nodes. Reads its configuration and questions from stdin, as JSON lines."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_agent.settings import Settings
from edge_wire.channel import open_channel
from edge_wire.collector import OF_A_FLEET, look_less_often
from edge_wire.credentials import decode_enrollment
from edge_wire.v1 import session_pb2_grpc
from tests.bench import profiling
from tests.bench.agents import BenchAgent, Kind, enroll
from tests.bench.runners import SharedRunner

_AT_ONCE = 16
"""So many enroll or start at the same time."""


class AgentHost:
    """The agents of this process."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._directory = Path(config["directory"])
        self._agents: list[BenchAgent] = []
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._runners: dict[int, SharedRunner] = {}

    async def start(self) -> None:
        """Enroll all, start all, and return when the admin has welcomed all."""
        secret = decode_enrollment(self._config["key"])
        channel = open_channel(secret.admin_urls[0], [secret.ca_certificate])
        stub = session_pb2_grpc.NodeGateStub(channel)
        numbers = range(self._config["first"], self._config["first"] + self._config["count"])
        await asyncio.gather(*(self._enroll(stub, number) for number in numbers))
        await channel.close()
        await asyncio.gather(*(self._start(number) for number in numbers))

    async def stop(self) -> None:
        """Stop all."""
        await asyncio.gather(*(agent.stop() for agent in self._agents))

    def welcomes(self) -> list[float | None]:
        """When each agent was last made welcome, by the machine's monotonic clock."""
        return [agent.welcomed_at for agent in self._agents]

    async def _enroll(self, stub: session_pb2_grpc.NodeGateAsyncStub, number: int) -> None:
        async with self._gate:
            await enroll(stub, self._data_dir(number), self._config["key"], f"edge{number:05}")

    async def _start(self, number: int) -> None:
        async with self._gate:
            kind = Kind(spawn=self._config["spawn"], journal=self._config["journal"], runner=self._runner_for(number))
            agent = BenchAgent(Settings(data_dir=self._data_dir(number)), kind)
            await agent.start()
            self._agents.append(agent)
            while agent.welcomed_at is None:
                await asyncio.sleep(0.01)

    def _runner_for(self, number: int) -> SharedRunner | None:
        share = self._config["agents_per_runner"]
        if self._config["spawn"] == "null" or share <= 1:
            return None
        group = number // share
        if group not in self._runners:
            self._runners[group] = SharedRunner(self._directory / f"runner{group:04}")
        return self._runners[group]

    def _data_dir(self, number: int) -> Path:
        return self._directory / f"edge{number:05}"


async def serve(start: Callable[[dict[str, Any]], Any]) -> None:
    """Answer questions until stdin ends; what was started is stopped then."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    host = start(json.loads(await reader.readline()))
    began = time.monotonic()
    with profiling.maybe():
        await host.start()
        _say({"ready": True, "seconds": time.monotonic() - began})
        while line := await reader.readline():
            question = json.loads(line)["do"]
            _say({question: getattr(host, question)()})
        await host.stop()


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    # As the agent does, but for a heap of thousands of agents; the bare fan-out is what gRPC and Python are without
    # being told.
    look_less_often(OF_A_FLEET)
    asyncio.run(serve(AgentHost))
