"""An sshd of the benchmark's own on loopback, with its own keys, that answers under many names.

The names share one address, so that nothing listens but on loopback; connections are shared per name, never across.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import subprocess
from pathlib import Path

from tests.bench.processes import Failed
from tests.support.postgres import free_port

_ANSWERS_WITHIN = 10.0


def client_lines(port: int, key: Path) -> list[str]:
    """The configuration of a client of a server on loopback: as ourselves, with one key, and no question asked."""
    return [
        "HostName 127.0.0.1",
        f"Port {port}",
        f"User {getpass.getuser()}",
        f"IdentityFile {key}",
        "IdentitiesOnly yes",
        "StrictHostKeyChecking no",
        "UserKnownHostsFile /dev/null",
        "LogLevel ERROR",
        "BatchMode yes",
    ]


class Sshd:
    """The server, and the client configurations `cold`, `warm` and `curve` (cold with a cheaper key exchange)."""

    def __init__(self, directory: Path, nodes: int) -> None:
        self.directory = directory
        self.names = [f"n{number}" for number in range(1, nodes + 1)]
        self._port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Make keys, start it, and wait until it answers. Raises Failed."""
        program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if program is None:
            raise Failed("sshd is not installed: apt-get install openssh-server")
        for name in ("host", "user"):
            key = self.directory / name
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        shutil.copy(self.directory / "user.pub", self.directory / "authorized")
        (self.directory / "sshd_config").write_text(self._server_config())
        for name in ("cold", "warm", "curve"):
            (self.directory / name).write_text(self._client_config(name))
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # sshd refuses to start as root without it
        words = [program, "-D", "-f", str(self.directory / "sshd_config"), "-E", str(self.directory / "sshd.log")]
        self._process = await asyncio.create_subprocess_exec(*words, stdin=asyncio.subprocess.DEVNULL)
        await asyncio.wait_for(self._answering(), _ANSWERS_WITHIN)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def pid(self) -> int:
        """Of the process that listens."""
        assert self._process is not None
        return self._process.pid

    def config(self, name: str) -> str:
        """The path of a client configuration."""
        return str(self.directory / name)

    async def stop(self) -> None:
        """End the shared connections and the server."""
        if self._process is None:
            return
        for name in self.names:
            if (self.directory / f"mux-{name}").exists():
                words = ["ssh", "-F", self.config("warm"), "-O", "exit", name]
                leaving = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.DEVNULL)
                await leaving.wait()
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()

    async def _answering(self) -> None:
        while True:
            assert self._process is not None
            if self._process.returncode is not None:
                raise Failed(f"sshd does not start:\n{(self.directory / 'sshd.log').read_text()}")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return

    def _server_config(self) -> str:
        lines = [
            f"Port {self._port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.directory / 'host'}",
            f"AuthorizedKeysFile {self.directory / 'authorized'}",
            "PidFile none",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "PermitRootLogin prohibit-password",
            "MaxStartups 1000",
            "PrintMotd no",
            # bash reads .bashrc for remote commands, except when it is not the outermost shell: measure ssh, not that.
            "SetEnv SHLVL=5",
        ]
        return "\n".join(lines) + "\n"

    def _client_config(self, name: str) -> str:
        lines = ["Host n*", *client_lines(self._port, self.directory / "user")]
        if name == "warm":
            lines += ["ControlMaster auto", f"ControlPath {self.directory}/mux-%n", "ControlPersist 900"]
        if name == "curve":
            lines += ["KexAlgorithms curve25519-sha256"]
        return "\n".join(lines) + "\n"
