"""The installation of a run: admins, agents and a database as processes of their own, with proxies in front of the
admins, all on loopback. It starts them, keeps them running, and ends everything that it started.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge_wire import credentials
from edge_wire.errors import EdgeError
from edge_wire.v1 import enrollment_pb2, node_pb2
from edgectl.connect import connected_to
from edgectl.contexts import Context
from tests.chaos import processes
from tests.chaos.database import Postgres, Sqlite
from tests.chaos.ledger import Death
from tests.chaos.payload import FILE_VARIABLE
from tests.chaos.proxy import Connection, Proxy
from tests.chaos.supervisor import Supervised
from tests.support.eventually import eventually
from tests.support.harness import ENCRYPTION_KEY, MASTER_KEY
from tests.support.postgres import free_port
from tests.support.programs import run_program

SITE_VARIABLE = "CHAOS_SITE"
"""In the environment of everything that a run starts, and of what that starts: nothing of it stays."""
_START_WITHIN = 90.0
_AGENT_EVERY = 0.3
"""Seconds between the first starts of agents: each start costs half a second of a processor."""


@dataclass(frozen=True, kw_only=True)
class Admin:
    """One admin and what is in front of it."""

    name: str
    program: Supervised
    proxy: Proxy


class Site:
    """Everything that a run works on."""

    def __init__(self, directory: Path, *, database: Sqlite | Postgres, node_count: int) -> None:
        self.directory = directory
        self.database = database
        self.nodes = [f"edge{number:02}" for number in range(1, node_count + 1)]
        self.admins: list[Admin] = []
        self.agents: dict[str, Supervised] = {}
        self.deaths: list[Death] = []
        self._ca_certificate = b""

    # --- starting ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start everything; returns when every node is online."""
        (self.directory / "files").mkdir()
        await self.database.start()
        await self._start_admins(("admin1", "admin2") if self.database.has_server else ("admin1",))
        await self._start_agents()
        await self.wait_online()

    async def wait_online(self, within: float = _START_WITHIN) -> None:
        """Until every node has a session."""
        await eventually(self._are_all_online, within=within, what="every node is online")

    def context(self, first: int = 0) -> Context:
        """How an operator reaches the admins, beginning with one of them."""
        urls = [f"https://127.0.0.1:{admin.proxy.port}" for admin in self.admins]
        turn = first % len(urls)
        return Context(
            name="chaos",
            admin_urls=[*urls[turn:], *urls[:turn]],
            ca_certificate=self._ca_certificate,
            store="file",
            credential_file=str(self.directory / "no-credential"),
        )

    def operator_environment(self, first: int = 0) -> dict[str, str]:
        """What makes `edgectl` reach the admins, beginning with one of them."""
        directory = self.directory / f"edgectl{first % len(self.admins)}"
        return {
            SITE_VARIABLE: str(self.directory),
            "EDGECTL_CONFIG_DIR": str(directory),
            "EDGECTL_TOKEN": MASTER_KEY,
            "EDGECTL_RECONNECT_FOR": "20s",
        }

    def file_of(self, node: str) -> Path:
        """Where what runs on a node leaves its marks."""
        return self.directory / "files" / node

    def log_of(self, program: str) -> Path:
        """Where a node's agent or an admin writes."""
        return self.directory / f"{program}.log"

    # --- what faults need ----------------------------------------------------------------------------------------

    def admin(self, name: str) -> Admin:
        """One admin."""
        return next(admin for admin in self.admins if admin.name == name)

    def connections(self) -> list[Connection]:
        """Every connection through the proxies."""
        return [connection for admin in self.admins for connection in admin.proxy.connections]

    def runner_pid(self, node: str) -> int | None:
        """The live runner of a node; None when it has none."""
        directory = self.directory / node / "runner"
        try:
            pid = int(json.loads((directory / "pid").read_text())["pid"])
        except (OSError, ValueError, KeyError):
            return None
        return pid if str(directory) in processes.command_line(pid) else None

    def kill_runner(self, node: str) -> bool:
        """SIGKILL to a node's runner, and remember it; False when it has none."""
        pid = self.runner_pid(node)
        if pid is None:
            return False
        self.deaths.append(Death(node=node, at=datetime.now(UTC)))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return True

    # --- what is left --------------------------------------------------------------------------------------------

    def journal_entries(self, node: str) -> list[str]:
        """Executions that a node's journal holds: accepted and not forgotten."""
        held: dict[str, None] = {}
        with suppress(FileNotFoundError):
            text = (self.directory / node / "executions" / "journal").read_text()
            for line in text.split("\n")[:-1]:  # what follows the last newline is being written
                record = json.loads(line.partition(" ")[2])
                if record["type"] == "accepted":
                    held[record["id"]] = None
                elif record["type"] == "forgotten":
                    held.pop(record["id"], None)
        return list(held)

    def running_executions(self) -> list[str]:
        """Processes of executions that are alive, described."""
        found = []
        for pid in processes.with_variable(SITE_VARIABLE, str(self.directory)):
            execution_id = processes.variable(pid, "EDGE_EXECUTION_ID")
            if execution_id:
                node = Path(processes.variable(pid, FILE_VARIABLE)).name
                found.append(f"{node} {execution_id} pid {pid}: {processes.command_line(pid)[-80:]!r}")
        return found

    def programs(self) -> list[Supervised]:
        """Everything that is supervised."""
        return [*(admin.program for admin in self.admins), *self.agents.values()]

    async def stop(self) -> None:
        """End everything; nothing of it stays."""
        await asyncio.gather(*(agent.stop() for agent in self.agents.values()), return_exceptions=True)
        await asyncio.gather(*(admin.program.stop() for admin in self.admins), return_exceptions=True)
        await asyncio.gather(*(admin.proxy.stop() for admin in self.admins), return_exceptions=True)
        deadline = time.monotonic() + 10.0
        while pids := list(processes.with_variable(SITE_VARIABLE, str(self.directory))):
            processes.send(pids, signal.SIGKILL)
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.05)
        await self.database.stop()

    # --- inside --------------------------------------------------------------------------------------------------

    async def _start_admins(self, names: Sequence[str]) -> None:
        ports = [free_port() for _ in names]
        proxies = [Proxy(port) for port in ports]
        for proxy in proxies:
            await proxy.start()
        urls = ",".join(f"https://127.0.0.1:{proxy.port}" for proxy in proxies)
        for name, port, proxy in zip(names, ports, proxies, strict=True):
            environ = self._admin_environment(name, port, urls)
            program = Supervised(name, "edge_server", "serve", environ=environ, log=self.log_of(name))
            self.admins.append(Admin(name=name, program=program, proxy=proxy))
        if self.database.has_server:
            done = await run_program("edge_server", "migrate", environ=self._admin_environment(names[0], 0, urls))
            assert done.code == 0, done.err
        for admin in self.admins:
            admin.program.start()
        await asyncio.gather(*(self._wait_serving(admin) for admin in self.admins))
        login = credentials.decode_login((self.directory / names[0] / "login").read_text())
        self._ca_certificate = login.ca_certificate
        for first in range(len(self.admins)):
            self._write_context(first)

    def _admin_environment(self, name: str, port: int, urls: str) -> dict[str, str]:
        return {
            SITE_VARIABLE: str(self.directory),
            "DATA_DIR": str(self.directory / name),
            "GRPC_LISTEN": f"127.0.0.1:{port}",
            "ADMIN_URLS": urls,
            "MASTER_KEY": MASTER_KEY,
            "ENCRYPTION_KEY": ENCRYPTION_KEY,
            "PING_INTERVAL_SECONDS": "2",
            "PING_DEAD_AFTER_SECONDS": "6",
            "RECONNECT_GRACE_SECONDS": "3",
            **self.database.settings(),
        }

    async def _wait_serving(self, admin: Admin) -> None:
        def is_serving() -> bool:
            log = admin.program.log
            return log.exists() and "log in with" in log.read_text(errors="replace")

        await eventually(is_serving, within=_START_WITHIN, what=f"{admin.name} serves")

    async def _start_agents(self) -> None:
        request = enrollment_pb2.CreateEnrollmentKeyRequest(cluster="default", uses=len(self.nodes))
        async with connected_to(self.context(), MASTER_KEY) as operator:
            key = (await operator.call(operator.enrollment_keys.Create, request)).secret
        for node in self.nodes:
            environ = {
                SITE_VARIABLE: str(self.directory),
                FILE_VARIABLE: str(self.file_of(node)),
                "DATA_DIR": str(self.directory / node),
                "NODE_ALIAS": node,
                "ENROLLMENT_KEY": key,
            }
            agent = Supervised(node, "edge_agent", "run", environ=environ, log=self.log_of(node))
            self.agents[node] = agent
            agent.start()
            await asyncio.sleep(_AGENT_EVERY)

    async def _are_all_online(self) -> bool:
        try:
            async with connected_to(self.context(), MASTER_KEY) as operator:
                request = node_pb2.ListNodesRequest(page_size=1000)
                listed = await operator.call(operator.nodes.List, request, timeout=timedelta(seconds=5))
        except EdgeError:
            return False
        online = {node.name for node in listed.nodes if node.status == node_pb2.NODE_STATUS_ONLINE}
        return online >= set(self.nodes)

    def _write_context(self, first: int) -> None:
        context = self.context(first)
        stored = {
            "current": context.name,
            "contexts": {
                context.name: {
                    "admin_urls": list(context.admin_urls),
                    "ca_certificate": base64.b64encode(context.ca_certificate).decode(),
                    "store": "file",
                    "credential_file": context.credential_file,
                }
            },
        }
        directory = self.directory / f"edgectl{first}"
        directory.mkdir()
        (directory / "config.json").write_text(json.dumps(stored))
