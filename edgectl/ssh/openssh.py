"""Running the system's ssh against a node: with a key for this login, our way there, and the host keys that we know."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_wire.targets import SSH_PORT
from edge_wire.v1 import ssh_pb2
from edgectl.connect import Admin, connected
from edgectl.invocation import Invocation
from edgectl.ssh.doorway import doorway
from edgectl.ssh.logins import admit, known_hosts, new_key_pair, private_directory, write_secret
from edgectl.ssh.own_command import for_ssh, own_command
from edgectl.ssh.words import SshWords

_KEY, _KNOWN_HOSTS = "key", "known_hosts"


def find_ssh() -> str | None:
    """The ssh of this machine."""
    return shutil.which("ssh")


def run_ssh(invocation: Invocation, words: SshWords, program: str) -> int:
    """Log in and do what was asked. Returns what ssh returns. Raises EdgeError."""

    async def work() -> int:
        async with connected(invocation) as admin:
            with private_directory() as directory:
                admitted = await _prepare(admin, words, directory)
                if words.outlives_us:
                    command = _own_tunnel(invocation, admitted.host.node_id)
                    return await _run([program, *_arguments(words, admitted, directory, command)])
                async with doorway(admin, admitted.host.node_id, directory) as command:
                    arguments = _arguments(words, admitted, directory, command)
                    return await _run([program, "-o", "ProxyUseFdpass=yes", *_NO_SHARING, *arguments])

    return asyncio.run(work())


_NO_SHARING = ("-o", "ControlMaster=no", "-o", "ControlPath=none")
"""What the user's configuration may say of shared connections: ours end with us."""


async def _prepare(admin: Admin, words: SshWords, directory: Path) -> ssh_pb2.AdmitSshResponse:
    key = new_key_pair()
    admitted = await admit(admin, words.node, words.user, key)
    write_secret(directory / _KEY, key.private)
    write_secret(directory / _KNOWN_HOSTS, known_hosts(admitted.host.dns_name, admitted.host).encode())
    return admitted


def _arguments(
    words: SshWords, admitted: ssh_pb2.AdmitSshResponse, directory: Path, proxy_command: str
) -> Sequence[str]:
    """What the user says comes first: ssh takes the first value of an option."""
    ours = {
        "ProxyCommand": proxy_command,
        "HostKeyAlias": admitted.host.dns_name,
        "UserKnownHostsFile": f'"{directory / _KNOWN_HOSTS}"',
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "CheckHostIP": "no",
        "IdentitiesOnly": "yes",
        "IdentityFile": f'"{directory / _KEY}"',
        "PreferredAuthentications": "publickey",
        "User": admitted.user,
        "LogLevel": "ERROR",
    }
    settings = [word for name, value in ours.items() for word in ("-o", f"{name}={value}")]
    return [*words.options, *settings, "--", admitted.host.dns_name, *words.command]


def _own_tunnel(invocation: Invocation, node_id: str) -> str:
    """A program of its own that carries the connection: ssh may stay when we have left."""
    return for_ssh([*own_command(invocation), "tunnel", "--stdio", node_id, str(SSH_PORT)])


async def _run(argv: Sequence[str]) -> int:
    """ssh has the terminal, and what is typed there concerns it: ^C is not for us."""
    loop = asyncio.get_running_loop()
    process = await asyncio.create_subprocess_exec(*argv)
    passed: dict[signal.Signals, Callable[[], None]] = {
        signal.SIGINT: lambda: None,
        signal.SIGTERM: process.terminate,
        signal.SIGHUP: lambda: process.send_signal(signal.SIGHUP),
    }
    for number, action in passed.items():
        loop.add_signal_handler(number, action)
    try:
        code = await process.wait()
    finally:
        for number in passed:
            loop.remove_signal_handler(number)
    return 128 - code if code < 0 else code
