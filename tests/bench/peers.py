"""The tools beside us: clush, pdsh, parallel-ssh, ansible and plain ssh, over a local sshd.

Each runs whole, with its own start-up, cold (a new connection per node) and warm (ControlMaster connections are up).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.client import run_process
from tests.bench.processes import Failed
from tests.bench.sshd import Sshd

_MARK = "bench-ok"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One tool with one way to connect."""

    name: str
    argv: Sequence[str]
    """What is run on the nodes is appended to it as one word."""
    environ: dict[str, str]


class Peers:
    """Those that are installed and reach every node."""

    def __init__(self, sshd: Sshd) -> None:
        self._sshd = sshd
        self.usable: list[Peer] = []
        self.missing: list[str] = []

    async def find(self) -> None:
        """Try each once: exit codes alone do not prove that every node answered. Warms what stays connected."""
        for peer in self._known():
            if _which(peer.argv[0]) is None:
                self.missing.append(f"{peer.name} is not installed")
            elif (count := await self._answers(peer)) != len(self._sshd.names):
                self.missing.append(f"{peer.name} reached {count} of {len(self._sshd.names)} nodes")
            else:
                self.usable.append(peer)

    async def run(self, peer: Peer) -> float:
        """Seconds of one whole run."""
        return await run_process([*_resolved(peer.argv), "/bin/true"], environ=_environ(peer))

    async def _answers(self, peer: Peer) -> int:
        output = self._sshd.directory / "answers"
        try:
            await run_process([*_resolved(peer.argv), f"echo {_MARK}"], environ=_environ(peer), output=output)
        except Failed:
            return 0
        return output.read_text(errors="replace").count(_MARK)

    def _known(self) -> list[Peer]:
        cold = [peer for config in ("cold", "curve", "warm") for peer in self._with(config)]
        return [peer for peer in cold if "curve" not in peer.name or peer.name.startswith(("clush", "ssh"))]

    def _with(self, config: str) -> list[Peer]:
        path, names = self._sshd.config(config), self._sshd.names
        folded, count = f"n[1-{len(names)}]", str(len(names))
        inventory = self._sshd.directory / "inventory"
        inventory.write_text("\n".join(names) + "\n")
        loop = f'for n in {" ".join(names)}; do ssh -F {path} $n "$0" & done; wait'
        ansible = {"ANSIBLE_SSH_ARGS": f"-F {path}", "ANSIBLE_PIPELINING": "1", "ANSIBLE_LOCALHOST_WARNING": "0"}
        pdsh = {"PDSH_SSH_ARGS_APPEND": f"-F {path}"}
        return [
            Peer(name=f"ssh_{config}", argv=["sh", "-c", loop], environ={}),
            Peer(name=f"clush_{config}", argv=["clush", "-f", count, "-w", folded, "-o", f"-F {path}"], environ={}),
            Peer(name=f"pdsh_{config}", argv=["pdsh", "-R", "ssh", "-f", count, "-w", folded], environ=pdsh),
            Peer(
                name=f"parallel_ssh_{config}",
                argv=["parallel-ssh", "-i", "-h", str(inventory), "-p", count, "-x", f"-F {path}"],
                environ={},
            ),
            Peer(
                name=f"ansible_raw_{config}",
                argv=["ansible", "-i", str(inventory), "all", "-m", "raw", "-f", "50", "-a"],
                environ=ansible,
            ),
        ]


@asynccontextmanager
async def running(nodes: int, scratch: Path) -> AsyncIterator[Peers]:
    """The peers and their sshd."""
    directory = scratch / "sshd"
    directory.mkdir(mode=0o700)
    sshd = Sshd(directory, nodes)
    try:
        await sshd.start()
        peers = Peers(sshd)
        await peers.find()
        yield peers
    finally:
        await asyncio.shield(sshd.stop())


def _resolved(argv: Sequence[str]) -> list[str]:
    return [_which(argv[0]) or argv[0], *argv[1:]]


def _which(program: str) -> str | None:
    """In the environment that the benchmark runs in, then in PATH."""
    return shutil.which(program, path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")


def _environ(peer: Peer) -> dict[str, str]:
    return {**os.environ, **peer.environ}
