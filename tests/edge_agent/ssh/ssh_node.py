"""An SSH server of an agent in this process, an admin in memory that answers it, and the real client of OpenSSH."""

from __future__ import annotations

import asyncio
import base64
import gc
import os
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from edge_agent.ssh.server import SshServer, SshSettings
from edge_wire.egress import EgressPolicy, parse_rule
from edge_wire.errors import Unavailable
from edge_wire.listener import ListenAddress
from edge_wire.readiness import readiness
from edge_wire.v1 import ssh_pb2 as pb
from tests.support.eventually import eventually
from tests.support.programs import Finished, run_command

HERE = ListenAddress(host="127.0.0.1", port=0)
USER = "alice"
PASSWORD = "correct horse"
CREDENTIAL = "key/1"


class Admin:
    """Lets one user in, by some keys and one password; keeps what it is told."""

    def __init__(self) -> None:
        self.keys: dict[bytes, str] = {}
        """Blobs, and the credentials that they are."""
        self.local_account = ""
        self.is_there = True
        self.questions: list[pb.SshQuestion] = []
        self.reports: list[pb.SshReport] = []

    async def ask(self, question: pb.SshQuestion) -> pb.SshAnswer:
        """As of an Authority."""
        self.questions.append(question)
        await asyncio.sleep(0)
        if not self.is_there:
            raise Unavailable
        credential = self.keys.get(question.public_key, "password-1" if question.password == PASSWORD else "")
        if question.user != USER or not credential:
            return pb.SshAnswer()
        return pb.SshAnswer(is_verified=True, local_account=self.local_account, credential_id=credential)

    def report(self, report: pb.SshReport) -> None:
        """As of an Authority."""
        assert threading.current_thread() is threading.main_thread()
        self.reports.append(report)

    @property
    def started(self) -> list[pb.SshSessionStarted]:
        """Sessions that were reported."""
        return [report.started for report in self.reports if report.HasField("started")]

    @property
    def ended(self) -> list[pb.SshSessionEnded]:
        """Ends that were reported."""
        return [report.ended for report in self.reports if report.HasField("ended")]

    @property
    def failed(self) -> list[pb.SshLoginFailed]:
        """Connections without a login that were reported."""
        return [report.failed for report in self.reports if report.HasField("failed")]

    async def end_of_a_session(self) -> pb.SshSessionEnded:
        """The next end that has not been taken."""
        await eventually(lambda: self.ended, what="the end of a session")
        report = next(report for report in self.reports if report.HasField("ended"))
        self.reports.remove(report)
        return report.ended


@dataclass
class Clock:
    """The time of day, as tests set it."""

    offset: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset


@dataclass
class SshNode:
    """The server and what surrounds it."""

    server: SshServer
    admin: Admin
    directory: Path
    clock: Clock = field(default_factory=Clock)

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self.server.listens is not None
        return self.server.listens.port

    def options(self, *, key: Path | None = None, port: int | None = None) -> list[str]:
        """Options of the programs of OpenSSH: nothing of this machine's own, and no question."""
        known = self.directory / "known_hosts"
        known.write_text("".join(f"node {line}\n" for line in self.server.facts.host_keys))
        options: Mapping[str, Any] = {
            "UserKnownHostsFile": known,
            "HostKeyAlias": "node",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "LogLevel": "ERROR",
            "Port": port or self.port,
            "SetEnv": "SHLVL=5 HISTFILE=/dev/null",  # so that bash neither reads nor writes files of whoever tests
        }
        words = ["-F", "none", "-i", str(key or self.directory / "key")]
        return words + [word for name, value in options.items() for word in ("-o", f"{name}={value}")]

    def command(self, *words: str, user: str = USER, key: Path | None = None, port: int | None = None) -> list[str]:
        """`ssh`, logged in on the node."""
        return ["ssh", *self.options(key=key, port=port), "-l", user, "127.0.0.1", *words]

    async def run(
        self, *words: str, stdin: bytes = b"", options: Sequence[str] = (), environ: Mapping[str, str] = {}, **how: Any
    ) -> Finished:
        """Run `ssh` to its end."""
        ssh, *rest = self.command(*words, **how)
        return await run_command(ssh, *options, *rest, stdin=stdin, environ=environ)

    @asynccontextmanager
    async def running(self, *words: str, options: Sequence[str] = (), **how: Any) -> AsyncIterator[Ssh]:
        """`ssh` that runs until the test ends it."""
        ssh, *rest = self.command(*words, **how)
        process = await asyncio.create_subprocess_exec(
            ssh,
            *options,
            *rest,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        client = Ssh(process)
        try:
            yield client
        finally:
            await client.kill()


class Ssh:
    """A client that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.text = b""

    async def until(self, text: bytes) -> bytes:
        """Read until this appears in what it wrote."""
        assert self.process.stdout is not None
        while text not in self.text:
            more = await asyncio.wait_for(self.process.stdout.read(65536), 10.0)
            assert more, self.text
            self.text += more
        before, _, self.text = self.text.partition(text)
        return before

    async def read_all(self) -> None:
        """Read until it ends."""
        assert self.process.stdout is not None
        while more := await self.process.stdout.read(65536):
            self.text += more

    async def type(self, text: bytes) -> None:
        """Give it input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        await self.process.stdin.drain()

    async def wait(self) -> tuple[int, str]:
        """Its exit status and its stderr."""
        assert self.process.stderr is not None
        errors = await asyncio.wait_for(self.process.stderr.read(), 20.0)
        return await asyncio.wait_for(self.process.wait(), 20.0), errors.decode()

    async def kill(self) -> None:
        """End it as a machine that vanishes does, nearly."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


def new_key(path: Path) -> bytes:
    """Make a key pair; returns the blob of its public half."""
    os.spawnlp(os.P_WAIT, "ssh-keygen", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path))
    return base64.b64decode(path.with_suffix(".pub").read_text().split()[1])


@asynccontextmanager
async def ssh_node(directory: Path, **settings: Any) -> AsyncIterator[SshNode]:
    """A server that listens; at the end nothing of it is left."""
    gc.collect()  # loops of earlier tests go with their epoll
    before = await what_is_there()
    admin, clock = Admin(), Clock()
    admin.keys[new_key(directory / "key")] = CREDENTIAL
    settings = {"listen": HERE, "environment": (*SshSettings().environment, "HISTFILE", "SHLVL"), **settings}
    server = SshServer(
        settings=SshSettings(**settings),
        data_dir=directory / "data",
        policy=EgressPolicy(deny=[parse_rule("192.0.2.0/24")]),
        authority=admin,
        now=clock,
    )
    await server.start()
    try:
        yield SshNode(server=server, admin=admin, directory=directory, clock=clock)
    finally:
        await server.stop()
        await eventually_as_before(before)


async def what_is_there() -> dict[str, int]:
    """Counts of what a server could leave behind in this process."""
    await asyncio.to_thread(lambda: None)  # so that the loop's own threads are there
    readiness(asyncio.get_running_loop())  # and its own epoll
    threads = [thread for thread in threading.enumerate() if not thread.name.startswith("asyncio")]
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(threads),
        "tasks": len(asyncio.all_tasks()),
        "processes": len(children),
    }


async def eventually_as_before(before: Mapping[str, int]) -> None:
    """Wait until nothing is left of what was made since."""

    async def is_as_before() -> bool:
        now = await what_is_there()
        assert now == before, (now, before)
        return True

    await eventually(is_as_before, what="nothing to be left behind")


def lives(pid: int) -> bool:
    """Whether a process runs; one that is over and merely not reaped by its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
