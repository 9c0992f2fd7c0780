"""How a command gets to a server: the client program that is called, and the processes that serve it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.sshd import client_lines

HOST = "bench"
VARIABLE = "SHLVL"
"""bash reads .bashrc for remote commands, except when it is not the outermost shell: measure ssh, not that."""
OPTIONS = {"KexAlgorithms": "curve25519-sha256", "SetEnv": f"{VARIABLE}=5"}
"""Of every client."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """A client program with all its words but the command."""

    client: Sequence[str]
    pids: Sequence[int]
    """The processes of the servers, without what they start."""
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)

    def argv(self, command: str) -> list[str]:
        """The client with this command for the shell of the other side."""
        return [*self.client, command]


def openssh(directory: Path, port: int, key: Path, pids: Sequence[int]) -> Way:
    """OpenSSH's client to a server on loopback; the same words and the same configuration for each server."""
    config = directory / f"client-{port}"
    lines = client_lines(port, key) + [f"{name} {value}" for name, value in OPTIONS.items()]
    config.write_text("\n".join(lines) + "\n")
    return Way(client=["ssh", "-F", str(config), HOST], pids=pids)


def new_key(path: Path) -> str:
    """Make a key pair for a client; returns the public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", path], check=True)
    return path.with_suffix(".pub").read_text()
