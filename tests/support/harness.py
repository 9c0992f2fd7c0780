"""A whole installation for a test: admins and agents in this process on free ports, with real runners and a real CLI.

`Installation` is the operator's view. What it started it stops; after a failure the logs of its programs are shown.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from edge_agent.app import AgentApp
from edge_agent.settings import Settings as AgentSettings
from edge_server.app import AdminApp
from edge_server.settings import Settings as AdminSettings
from edge_wire.v1 import enrollment_pb2, node_pb2
from edgectl.connect import Admin, connected_to
from edgectl.contexts import Context
from tests.support.databases import DatabaseSettings, migrate_at
from tests.support.eventually import eventually
from tests.support.programs import Finished, Program, run_program
from tests.support.schemas import check_output, output_of

MASTER_KEY = "test-master-key-0123456789"
ENCRYPTION_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


class Installation:
    """One installation on the database that these settings name."""

    def __init__(self, directory: Path, database: DatabaseSettings) -> None:
        self.directory = directory
        self.database = database
        self.admins: list[AdminApp] = []
        self.agents: dict[str, AgentApp] = {}
        self.programs: list[Program] = []
        self._stack = AsyncExitStack()

    # --- admins

    @property
    def admin(self) -> AdminApp:
        """The first admin."""
        return self.admins[0]

    async def start_admin(self, name: str = "admin", **settings: Any) -> AdminApp:
        """Start an admin in this process, on a free port unless `grpc_listen` says another."""
        chosen = {
            "data_dir": self.directory / name,
            "grpc_listen": "127.0.0.1:0",
            "master_key": MASTER_KEY,
            "encryption_key": ENCRYPTION_KEY,
            "reconnect_grace_seconds": 2.0,
            **self.database,
            **settings,
        }
        made = AdminSettings(**chosen)
        if not made.is_sqlite:
            migrate_at(made.url)
        app = AdminApp(made)
        await app.start()
        self.admins.append(app)
        return app

    async def stop_admin(self, app: AdminApp | None = None) -> None:
        """Stop one admin."""
        stopped = app or self.admin
        self.admins.remove(stopped)
        await stopped.stop()

    async def restart_admin(self, **settings: Any) -> AdminApp:
        """Stop the first admin and start it again on the same port."""
        port = self.admin.address.port
        await self.stop_admin()
        return await self.start_admin(grpc_listen=f"127.0.0.1:{port}", **settings)

    # --- operators

    def context(self, app: AdminApp | None = None) -> Context:
        """How an operator reaches an admin."""
        reached = app or self.admin
        return Context(
            name="test",
            admin_urls=list(reached.address.urls),
            ca_certificate=reached.authority.der,
            store="file",
            credential_file=str(self.directory / "no-credential"),
        )

    @asynccontextmanager
    async def operator(self, token: str = MASTER_KEY, app: AdminApp | None = None) -> AsyncIterator[Admin]:
        """The API as an operator's program sees it."""
        async with connected_to(self.context(app), token) as admin:
            yield admin

    def operator_environment(self, app: AdminApp | None = None) -> dict[str, str]:
        """What makes `edgectl` reach this installation."""
        directory = self.directory / "edgectl"
        self._write_context(directory, app)
        return {"EDGECTL_CONFIG_DIR": str(directory), "EDGECTL_TOKEN": MASTER_KEY}

    async def edgectl(
        self, *words: str, stdin: bytes = b"", environ: Mapping[str, str] | None = None, app: AdminApp | None = None
    ) -> Finished:
        """Run the real command line to its end; what it prints for programs must be what the schemas describe."""
        known = {**self.operator_environment(app), **(environ or {})}
        done = await run_program("edgectl", *words, environ=known, stdin=stdin)
        check_output(words, done.text if output_of(words) else "")
        return done

    async def start_edgectl(self, *words: str, name: str = "edgectl") -> Program:
        """Start the real command line; what it prints is in the program's log."""
        return await self.start_program("edgectl", *words, environ=self.operator_environment(), log=f"{name}.log")

    # --- nodes

    async def enrollment_key(self, cluster: str = "default", uses: int | None = 1, **fields: Any) -> str:
        """A new enrollment key, as it is pasted."""
        request = enrollment_pb2.CreateEnrollmentKeyRequest(cluster=cluster, uses=uses, **fields)
        async with self.operator() as admin:
            return (await admin.call(admin.enrollment_keys.Create, request)).secret

    async def add_agent(self, name: str, *, cluster: str = "default", **settings: Any) -> AgentApp:
        """Enroll and start an agent in this process; returns when it is online."""
        key = await self.enrollment_key(cluster)
        return await self.start_agent(name, enrollment_key=key, node_alias=name, **settings)

    async def add_agents(self, *names: str) -> None:
        """Enroll and start several."""
        for name in names:
            await self.add_agent(name)

    async def start_agent(self, name: str, **settings: Any) -> AgentApp:
        """Start an agent in this process; returns when it is online."""
        agent = await self.start_agent_without_wait(name, **settings)
        await self.wait_status(name, node_pb2.NODE_STATUS_ONLINE)
        return agent

    async def start_agent_without_wait(self, name: str, **settings: Any) -> AgentApp:
        """Start an agent in this process, whether it gets online or not."""
        agent = AgentApp(AgentSettings(data_dir=self.directory / name, **settings))
        await agent.start()
        self.agents[name] = agent
        return agent

    async def stop_agent(self, name: str) -> None:
        """Stop an agent; what it runs goes on in its runner."""
        await self.agents.pop(name).stop()
        await self.wait_status(name, node_pb2.NODE_STATUS_OFFLINE)

    async def start_agent_program(self, name: str, *, key: str = "", **environ: str) -> Program:
        """Start an agent as a process of its own; returns when it is online."""
        known = {"DATA_DIR": str(self.directory / name), "NODE_ALIAS": name, **environ}
        if key:
            known["ENROLLMENT_KEY"] = key
        program = await self.start_program("edge_agent", "run", environ=known, log=f"{name}.log")
        await self.wait_status(name, node_pb2.NODE_STATUS_ONLINE)
        return program

    async def wait_status(self, name: str, status: node_pb2.NodeStatus.ValueType) -> node_pb2.Node:
        """Wait until the admin says so."""

        async def node() -> node_pb2.Node | None:
            found = [item for item in await self.nodes() if name in item.aliases or name == item.name]
            return found[0] if found and found[0].status == status else None

        found = await eventually(node, within=20.0, what=f"{name} is {node_pb2.NodeStatus.Name(status)}")
        assert found is not None
        return found

    async def nodes(self) -> list[node_pb2.Node]:
        """All nodes, as the admin sees them."""
        async with self.operator() as admin:
            return list((await admin.call(admin.nodes.List, node_pb2.ListNodesRequest(page_size=1000))).nodes)

    def runner_pid(self, name: str) -> int:
        """The process that owns what an agent runs."""
        return int(json.loads((self.directory / name / "runner" / "pid").read_text())["pid"])

    # --- admin as a process

    async def start_admin_program(self, port: int, *, prefix: tuple[str, ...] = (), **environ: str) -> Program:
        """Start an admin as a process of its own, with its data in the directory `admin`."""
        known = {
            **{name.upper(): str(value) for name, value in self.database.items()},
            "DATA_DIR": str(self.directory / "admin"),
            "GRPC_LISTEN": f"127.0.0.1:{port}",
            "ADMIN_URLS": f"https://127.0.0.1:{port}",
            "MASTER_KEY": MASTER_KEY,
            "ENCRYPTION_KEY": ENCRYPTION_KEY,
            "RECONNECT_GRACE_SECONDS": "2",
            **environ,
        }
        program = await self.start_program("edge_server", "serve", environ=known, log="admin.log", prefix=prefix)

        def is_ready() -> bool:
            assert program.is_running, program.output
            return program.output.count("log in with") >= self._starts_of("admin.log")

        await eventually(is_ready, within=30.0, what="the admin serves")
        return program

    # --- ending

    async def close(self) -> None:
        """Stop everything, in the order in which nobody has to wait for anybody."""
        for program in self.programs:
            await program.kill()
        for agent in self.agents.values():
            with suppress(OSError):
                await agent.stop()
        for app in list(self.admins):
            await self.stop_admin(app)
        for path in self.directory.glob("*/runner/pid"):
            self._end_runner(path)

    def logs(self) -> str:
        """What its programs wrote."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')}" for path in self.directory.glob("*.log")
        )

    async def start_program(
        self, module: str, *words: str, environ: Mapping[str, str], log: str, prefix: tuple[str, ...] = ()
    ) -> Program:
        """Start one of our programs; it is killed at the end."""
        program = await Program.start(module, *words, environ=environ, log=self.directory / log, prefix=prefix)
        self.programs.append(program)
        return program

    def _starts_of(self, log: str) -> int:
        return sum(1 for program in self.programs if program.log.name == log)

    def _write_context(self, directory: Path, app: AdminApp | None) -> None:
        directory.mkdir(exist_ok=True)
        if not self.admins:  # the admin is a process: its context was written when it was here, or by login
            return
        context = self.context(app)
        stored = {
            "current": context.name,
            "contexts": {
                context.name: {
                    "admin_urls": list(context.admin_urls),
                    "ca_certificate": _base64(context.ca_certificate),
                    "store": "file",
                    "credential_file": context.credential_file,
                }
            },
        }
        (directory / "config.json").write_text(json.dumps(stored))

    def _end_runner(self, path: Path) -> None:
        """A runner outlives its agent by design; it is ended only if it is still the process that wrote the file."""
        with suppress(OSError, ValueError, KeyError):
            pid = int(json.loads(path.read_text())["pid"])
            if str(path.parent) in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace"):
                os.kill(pid, signal.SIGTERM)


@asynccontextmanager
async def installation(directory: Path, database: DatabaseSettings | None = None) -> AsyncIterator[Installation]:
    """An installation without admins and nodes yet; everything that is started in it is stopped at the end."""
    made = Installation(directory, database or {"db_adapter": "sqlite"})
    try:
        yield made
    except BaseException:
        sys.stderr.write(made.logs())
        raise
    finally:
        await made.close()


@pytest.fixture
async def bare(tmp_path: Path, database_settings: DatabaseSettings) -> AsyncIterator[Installation]:
    """An installation without anything in it."""
    async with installation(tmp_path, database_settings) as made:
        yield made


@pytest.fixture
async def site(bare: Installation) -> Installation:
    """An installation with one admin."""
    await bare.start_admin()
    return bare


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(
    tmp_path_factory: pytest.TempPathFactory, shared_database_settings: DatabaseSettings
) -> AsyncIterator[Installation]:
    """Two nodes, edge01 and edge02, for all tests of a module: for tests that leave them as they found them."""
    async with installation(tmp_path_factory.mktemp("shared"), shared_database_settings) as made:
        await made.start_admin()
        await made.add_agents("edge01", "edge02")
        yield made


@pytest.fixture
async def one_node(site: Installation) -> Installation:
    """One node, edge01, for one test."""
    await site.add_agent("edge01")
    return site


@pytest.fixture
async def pair(site: Installation) -> Installation:
    """Two nodes, edge01 and edge02, for one test."""
    await site.add_agents("edge01", "edge02")
    return site


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
