"""What is logged in to: the agent's server in a process of its own, sshd, and an agent behind an admin."""

from __future__ import annotations

import getpass
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import mkdtemp

from edge_wire.v1 import ssh_pb2
from tests.bench.fleet import Fleet, Plan, admin_running
from tests.bench.processes import Helper
from tests.bench.ssh.ways import OPTIONS, VARIABLE, Way, new_key, openssh
from tests.bench.sshd import Sshd
from tests.support.postgres import free_port
from tests.support.programs import Program, clean_environment

_NODE = "real"


@asynccontextmanager
async def our_server(scratch: Path, sessions: int) -> AsyncIterator[Way]:
    """The agent's server; it takes so many sessions at once."""
    directory = Path(mkdtemp(prefix="ours-", dir=scratch))
    config = {
        "directory": str(directory / "data"),
        "public_key": new_key(directory / "key"),
        "environment": [VARIABLE],
        "max_sessions": sessions,
    }
    helper = await Helper.start("tests.bench.ssh.ours", config, directory / "log")
    try:
        await helper.hear()
        port = (await helper.ask("port"))["port"]
        yield openssh(directory, port, directory / "key", [helper.pid])
    finally:
        await helper.stop()


@asynccontextmanager
async def peer_server(scratch: Path) -> AsyncIterator[Way]:
    """sshd. Raises Failed when it is not installed, or does not start."""
    directory = Path(mkdtemp(prefix="sshd-", dir=scratch))
    sshd = Sshd(directory, 1)
    try:
        await sshd.start()
        yield openssh(directory, sshd.port, directory / "user", [sshd.pid])
    finally:
        await sshd.stop()


@asynccontextmanager
async def whole_path(scratch: Path) -> AsyncIterator[Mapping[str, Way]]:
    """`edgectl ssh` through an admin to an agent, and plain ssh to the listener of the same agent."""
    async with admin_running(Plan(nodes=1, spawn="real", journal=True), scratch) as fleet:
        port = free_port()
        program = await _start_agent(fleet, port)
        try:
            await _let_in(fleet, new_key(fleet.directory / "key"))
            pids = [fleet.admin_pid, program.process.pid]
            options = [word for name, value in OPTIONS.items() for word in ("-o", f"{name}={value}")]
            client = [sys.executable, "-m", "edgectl", "ssh", "-F", "none", *options, _NODE, "--"]
            environ = clean_environment(fleet.operator_environment)
            yield {
                "edgectl": Way(client=client, pids=pids, environ=environ),
                "ssh": openssh(fleet.directory, port, fleet.directory / "key", pids),
            }
        finally:
            await program.stop()


async def _start_agent(fleet: Fleet, port: int) -> Program:
    environ = {
        "DATA_DIR": str(fleet.directory / "real"),
        "NODE_ALIAS": _NODE,
        "ENROLLMENT_KEY": await fleet.new_key(1),
        "SSH_LISTEN": f"127.0.0.1:{port}",
        "SSH_ENVIRONMENT": VARIABLE,
    }
    return await fleet.start_agent("real.log", environ)


async def _let_in(fleet: Fleet, public_key: str) -> None:
    """An account of our own name, as which plain ssh logs in."""
    admin, name = fleet.admin, getpass.getuser()
    await admin.call(admin.ssh_users.Create, ssh_pb2.CreateSshUserRequest(name=name))
    await admin.call(admin.ssh_keys.Create, ssh_pb2.CreateSshKeyRequest(user=name, public_key=public_key))
