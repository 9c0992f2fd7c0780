"""Real agents, many in one process: their sessions, journals and executions, with a runner that is chosen.

Only how they enroll is short: one connection for all of them, with the messages that each would send.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agent.app import AgentApp
from edge_agent.enroll import Wishes, _request, keep
from edge_agent.executions.executions import Executions
from edge_agent.executions.journal import DIRECTORY, Journal
from edge_agent.executions.runner_client import RunnerClient
from edge_agent.settings import HIDDEN, Settings
from edge_wire import calls, credentials
from edge_wire.v1 import session_pb2 as pb
from edge_wire.v1 import session_pb2_grpc
from tests.bench.options import Spawn
from tests.bench.runners import NullRunner, SharedPort, SharedRunner


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is real about an agent."""

    spawn: Spawn
    journal: bool
    runner: SharedRunner | None
    """None: a runner of its own, when it spawns at all."""


class BenchExecutions(Executions):
    """An agent's executions with another journal or runner."""

    def __init__(self, kind: Kind, data_dir: Path, settings: Settings) -> None:
        self._kind = kind
        super().__init__(
            journal=Journal(data_dir / DIRECTORY, is_on_disk=kind.journal),
            runner_dir=data_dir / "runner",
            concurrency=settings.execution_concurrency,
            spool_bytes=settings.spool_bytes,
            hidden=HIDDEN,
        )

    def _new_runner(self) -> RunnerClient:
        wires: dict[str, Any] = {"told": self._told, "died": self._runner_died}
        if self._kind.spawn == "null":
            return NullRunner(self._runner_dir, **wires)
        if self._kind.runner is not None:
            return SharedPort(self._kind.runner, self._runner_dir, **wires)
        return super()._new_runner()


class BenchAgent(AgentApp):
    """An agent that remembers when it was last made welcome."""

    def __init__(self, settings: Settings, kind: Kind) -> None:
        super().__init__(settings)
        self._kind = kind
        self.welcomed_at: float | None = None

    def _new_executions(self) -> Executions:
        return BenchExecutions(self._kind, self._settings.data_dir, self._settings)

    def _welcomed(self, url: str, welcome: pb.Welcome) -> None:
        super()._welcomed(url, welcome)
        self.welcomed_at = time.monotonic()


async def enroll(gate: session_pb2_grpc.NodeGateAsyncStub, data_dir: Path, key: str, alias: str) -> None:
    """Make a node of this data directory, over a connection that is there."""
    data_dir.mkdir(parents=True)
    request = _request(data_dir, credentials.decode_enrollment(key), Wishes(alias=alias, labels={}))
    keep(data_dir, await calls.call(gate.Enroll, request))
