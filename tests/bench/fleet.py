"""One installation under load: a real admin process, simulated nodes in a few processes, and a client in this one."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Literal

from edge_wire import credentials
from edge_wire.errors import EdgeError
from edge_wire.timestamps import to_duration
from edge_wire.v1 import enrollment_pb2, principal_pb2
from edgectl.connect import Admin, connected_to
from edgectl.contexts import Context
from tests.bench.options import Spawn, hosts_for
from tests.bench.processes import Failed, Helper, end_runner, start_limit, within
from tests.support.postgres import free_port
from tests.support.programs import Program

MASTER_KEY = "benchmark-master-key-0123456789"
_ENCRYPTION_KEY = base64.b64encode(bytes(range(32))).decode()
_ADMIN_WITHIN = 60.0
_AGENT_WITHIN = 30.0
OWN_RUNNERS_UP_TO = 100
"""Fleets of this size have a real runner per node; in larger ones several nodes share one."""
_SHARE = 20
_MEMORY = Path("/dev/shm")
_RUNNERS = ("host*/*/runner/pid", "host*/runner*/pid", "real/runner/pid")
"""Where runners say who they are. One with an end that nobody acknowledged outlives its agent, by design."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a fleet is made of."""

    nodes: int
    spawn: Spawn
    journal: bool
    database_url: str = ""
    admin_settings: Mapping[str, str] = field(default_factory=dict)
    """Besides those that every admin of a benchmark has."""

    @property
    def agents_per_runner(self) -> int:
        """How many nodes share a real runner."""
        return 1 if self.nodes <= OWN_RUNNERS_UP_TO else _SHARE

    @property
    def is_light(self) -> bool:
        """Whether its nodes may live in memory: nothing that is on their disks is measured, and 10,000 are many."""
        return self.spawn == "null" and not self.journal and _MEMORY.is_dir()

    def describe(self) -> str:
        """For the notes."""
        if self.spawn == "null":
            runner = "no runner: each node says at once that it ended"
        elif self.agents_per_runner == 1:
            runner = "a real runner each"
        else:
            runner = f"one real runner for {self.agents_per_runner} nodes"
        return f"{self.nodes} nodes in {hosts_for(self.nodes)} processes, {runner}, journal {_on(self.journal)}"


class Fleet:
    """A running installation."""

    def __init__(self, plan: Plan, directory: Path) -> None:
        self.plan = plan
        self.directory = directory
        self._nodes_directory = (
            Path(tempfile.mkdtemp(prefix="edge-bench-", dir=_MEMORY)) if plan.is_light else directory
        )
        self.port = free_port()
        self.hosts: list[Helper] = []
        self._program: Program | None = None
        self.context: Context
        self.admin: Admin

    @property
    def nodes(self) -> int:
        """How many nodes it has."""
        return self.plan.nodes

    @property
    def admin_pid(self) -> int:
        """The admin's process."""
        assert self._program is not None
        return self._program.process.pid

    @property
    def host_pids(self) -> Sequence[int]:
        """The processes of the nodes."""
        return [host.pid for host in self.hosts]

    async def start_admin(self) -> None:
        """Start the admin, or start it again on the same port and database."""
        environ = {
            "DATA_DIR": str(self.directory / "admin"),
            "GRPC_LISTEN": f"127.0.0.1:{self.port}",
            "ADMIN_URLS": f"https://127.0.0.1:{self.port}",
            "MASTER_KEY": MASTER_KEY,
            "ENCRYPTION_KEY": _ENCRYPTION_KEY,
            "GRPC_VERBOSITY": "NONE",
            **self.plan.admin_settings,
        }
        if self.plan.database_url:
            environ |= {"DB_ADAPTER": "postgres", "DATABASE_URL": self.plan.database_url}
            await (await self._run("migrate", environ)).wait()
        self._program = await self._run("serve", environ)

    async def kill_admin(self) -> None:
        """As a crash would."""
        assert self._program is not None
        await self._program.kill()

    async def wait_for_admin(self) -> None:
        """Until it takes connections. Raises Failed."""
        deadline = time.monotonic() + _ADMIN_WITHIN
        while time.monotonic() < deadline:
            assert self._program is not None
            if not self._program.is_running:
                break
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            writer.close()
            return
        raise Failed(f"the admin does not serve:\n{(self.directory / 'admin.log').read_text()[-2000:]}")

    async def read_context(self) -> Context:
        """How an operator reaches it; also left where `edgectl` finds it."""
        path = self.directory / "admin" / "login"
        while not path.exists():
            await asyncio.sleep(0.01)
        secret = credentials.decode_login(path.read_text())
        stored = {
            "admin_urls": list(secret.admin_urls),
            "ca_certificate": base64.b64encode(secret.ca_certificate).decode(),
            "store": "file",
            "credential_file": str(self.directory / "none"),
        }
        directory = self.directory / "edgectl"
        directory.mkdir(exist_ok=True)
        (directory / "config.json").write_text(json.dumps({"current": "bench", "contexts": {"bench": stored}}))
        return Context(
            name="bench",
            admin_urls=list(secret.admin_urls),
            ca_certificate=secret.ca_certificate,
            store="file",
            credential_file=str(self.directory / "none"),
        )

    @property
    def operator_environment(self) -> dict[str, str]:
        """What makes `edgectl` reach it."""
        return {"EDGECTL_CONFIG_DIR": str(self.directory / "edgectl"), "EDGECTL_TOKEN": MASTER_KEY}

    async def add_nodes(self) -> None:
        """Start the processes of the nodes; returns when all are online."""
        key = await self.new_key(self.plan.nodes)
        count = hosts_for(self.plan.nodes)
        edges = [self.plan.nodes * number // count for number in range(count + 1)]
        for number, (first, last) in enumerate(pairwise(edges)):
            config = {
                "directory": str(self._nodes_directory / f"host{number}"),
                "key": key,
                "first": first,
                "count": last - first,
                "spawn": self.plan.spawn,
                "journal": self.plan.journal,
                "agents_per_runner": self.plan.agents_per_runner,
            }
            self.hosts.append(await Helper.start("tests.bench.agent_host", config, self.directory / "hosts.log"))
        online = asyncio.gather(*(host.hear() for host in self.hosts))
        await within(start_limit(self.plan.nodes), online, "all nodes are online")

    async def new_key(self, uses: int) -> str:
        """An enrollment key."""
        request = enrollment_pb2.CreateEnrollmentKeyRequest(
            cluster="default", uses=uses, expires_in=to_duration(timedelta(hours=4))
        )
        return (await self.admin.call(self.admin.enrollment_keys.Create, request)).secret

    async def start_agent(self, log: str, environ: Mapping[str, str]) -> Program:
        """Start a real `edge-agent run` as a process of its own; returns when it is online. Raises Failed."""
        program = await Program.start("edge_agent", "run", environ=environ, log=self.directory / log)
        deadline = time.monotonic() + _AGENT_WITHIN
        while "session opened" not in program.output:
            if not program.is_running or time.monotonic() > deadline:
                await program.stop()
                raise Failed(f"the agent is not online:\n{program.output[-2000:]}")
            await asyncio.sleep(0.05)
        return program

    async def welcomes(self) -> list[float]:
        """When each node was last made welcome."""
        answers = await asyncio.gather(*(host.ask("welcomes") for host in self.hosts))
        return [moment for answer in answers for moment in answer["welcomes"]]

    async def stop(self) -> None:
        """Stop everything."""
        await asyncio.gather(*(host.stop() for host in self.hosts))
        if self._program is not None:
            await self._program.stop()
        for pattern in _RUNNERS:
            for path in self.directory.glob(pattern):
                end_runner(path)
        if self._nodes_directory != self.directory:
            shutil.rmtree(self._nodes_directory, ignore_errors=True)

    async def _run(self, word: str, environ: dict[str, str]) -> Program:
        return await Program.start("edge_server", word, environ=environ, log=self.directory / "admin.log")


@asynccontextmanager
async def running(plan: Plan, scratch: Path) -> AsyncIterator[Fleet]:
    """A fleet with all its nodes online."""
    async with admin_running(plan, scratch) as fleet:
        await fleet.add_nodes()
        yield fleet


@asynccontextmanager
async def admin_running(plan: Plan, scratch: Path) -> AsyncIterator[Fleet]:
    """The same before it has nodes."""
    directory = scratch / f"fleet{len(list(scratch.glob('fleet*')))}"
    directory.mkdir()
    fleet = Fleet(plan, directory)
    try:
        await fleet.start_admin()
        await fleet.wait_for_admin()
        fleet.context = await fleet.read_context()
        async with connected_to(fleet.context, MASTER_KEY) as admin:
            fleet.admin = admin
            await _answering(admin)
            yield fleet
    finally:
        await fleet.stop()


async def _answering(admin: Admin) -> None:
    while True:
        try:
            await admin.call(admin.tokens.WhoAmI, principal_pb2.WhoAmIRequest())
        except EdgeError:
            await asyncio.sleep(0.05)
        else:
            return


def _on(is_on: bool) -> Literal["on", "off"]:
    return "on" if is_on else "off"
