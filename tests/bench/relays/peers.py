"""The relays beside us, each on a port of loopback: haproxy without a handshake, the others as SOCKS5 proxies."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

from tests.bench.processes import Failed
from tests.bench.relays.ways import Way, socks5
from tests.bench.sshd import Sshd
from tests.support.postgres import free_port

USER, PASSWORD = "bench", "not-a-secret"  # of ports of loopback that live as long as the benchmark
NAMES = ("haproxy", "danted", "microsocks", "pproxy", "ssh_d")
_STARTS_WITHIN = 15.0
_ENDS_WITHIN = 5.0


class Missing(Exception):
    """A peer cannot be measured here."""


class Peers:
    """Those that are installed and lead to the target."""

    def __init__(self, directory: Path, target_port: int) -> None:
        self._directory = directory
        self._target_port = target_port
        self._processes: list[asyncio.subprocess.Process] = []
        self._sshd: Sshd | None = None
        self.ways: dict[str, Way] = {}
        self.missing: list[str] = []

    async def start(self) -> None:
        """Start each; one that cannot be measured is named in `missing`."""
        starts = (self._haproxy, self._danted, self._microsocks, self._pproxy, self._ssh)
        for name, start in zip(NAMES, starts, strict=True):
            try:
                way = await start()
                await _answers(way)
                self.ways[name] = way
            except (Missing, Failed) as reason:
                self.missing.append(f"{name} is left out: {reason}")

    async def stop(self) -> None:
        """End everything that was started."""
        for process in reversed(self._processes):
            await _end(process)
        if self._sshd is not None:
            await self._sshd.stop()

    async def _haproxy(self) -> Way:
        port = free_port()
        config = self._directory / "haproxy.cfg"
        config.write_text(
            "global\n nbthread 2\n maxconn 4000\n"
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n"
            f"listen relay\n bind 127.0.0.1:{port}\n server target 127.0.0.1:{self._target_port}\n"
        )
        return Way(port=port, pids=[await self._start("haproxy", "-db", "-f", str(config))])

    async def _danted(self) -> Way:
        port = free_port()
        config = self._directory / "danted.conf"
        config.write_text(
            f"logoutput: {self._directory}/danted.log\ninternal: 127.0.0.1 port = {port}\nexternal: 127.0.0.1\n"
            "socksmethod: none\nclientmethod: none\nuser.unprivileged: nobody\n"
            "client pass { from: 127.0.0.1/32 to: 0.0.0.0/0 }\nsocks pass { from: 127.0.0.1/32 to: 0.0.0.0/0 }\n"
        )
        pid = await self._start("danted", "-f", str(config), "-p", str(self._directory / "danted.pid"))
        return Way(port=port, steps=socks5(self._target_port), pids=[pid])

    async def _microsocks(self) -> Way:
        port = free_port()
        words = ("-i", "127.0.0.1", "-p", str(port), "-u", USER, "-P", PASSWORD)
        pid = await self._start("microsocks", *words)
        return Way(port=port, steps=socks5(self._target_port, user=USER, password=PASSWORD), pids=[pid])

    async def _pproxy(self) -> Way:
        port = free_port()
        pid = await self._start("pproxy", "-l", f"socks5://127.0.0.1:{port}#{USER}:{PASSWORD}")
        return Way(port=port, steps=socks5(self._target_port, user=USER, password=PASSWORD), pids=[pid])

    async def _ssh(self) -> Way:
        _require("ssh")
        directory = self._directory / "sshd"
        directory.mkdir(mode=0o700)
        self._sshd = Sshd(directory, 1)
        await self._sshd.start()
        port = free_port()
        words = ("-F", self._sshd.config("cold"), "-N", "-D", f"127.0.0.1:{port}", self._sshd.names[0])
        pid = await self._start("ssh", *words)
        return Way(port=port, steps=socks5(self._target_port), pids=[pid, self._sshd.pid])

    async def _start(self, program: str, *words: str) -> int:
        with (self._directory / f"{program}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                _require(program), *words, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self._processes.append(process)
        return process.pid


def _require(program: str) -> str:
    """Its path: in the environment of the benchmark, in PATH, or where daemons are. Raises Missing."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]
    found = shutil.which(program, path=os.pathsep.join(places))
    if found is None:
        raise Missing("not installed")
    return found


async def _answers(way: Way) -> None:
    """Wait until the target answers through it. Raises Missing."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + _STARTS_WITHIN
    while True:
        try:
            await asyncio.to_thread(_try_once, way)
        except OSError as error:
            if clock() > deadline:
                raise Missing(f"no answer through it ({error})") from None
            await asyncio.sleep(0.05)
        else:
            return


def _try_once(way: Way) -> None:
    with way.connect() as connection:
        connection.sendall(b"?")
        if connection.recv(1) != b"?":
            raise ConnectionAbortedError("no echo")


async def _end(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _ENDS_WITHIN)
            return
