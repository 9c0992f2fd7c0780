"""What one round measures of one server, and which ratios the report promises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.bench.figures import Report
from tests.bench.processes import cpu_seconds_with_ended, family, memory_parts, within
from tests.bench.ssh.clients import Clients
from tests.bench.ssh.options import Options
from tests.bench.ssh.ways import Way

PROMISED = ("connect_vs_sshd", "sessions_vs_sshd", "bulk_down_vs_sshd", "bulk_up_vs_sshd")
_MB = 10**6
_GB = 1e9
_MS = 1e3
_QUIET_WITHIN = 20.0
Server = Callable[[], AbstractAsyncContextManager[Way]]


class Load:
    """The clients, and where their figures go."""

    def __init__(self, clients: Clients, options: Options, report: Report, source: Path) -> None:
        self._clients = clients
        self._options = options
        self._report = report
        self._source = source
        """A file of the size of a bulk transfer."""

    async def connect(self, name: str, way: Way) -> None:
        """One login after the other."""
        meter = _Meter(way)
        for _ in range(self._options.connects):
            self._report.add(f"connect.{name}", await self._clients.log_in(way) * _MS, "ms")
        self._report.add(f"connect_cpu.{name}", await meter.spent() / self._options.connects * _MS, "ms")

    async def sessions(self, name: str, way: Way) -> None:
        """Many logins, several at a time."""
        count = self._options.sessions
        meter = _Meter(way)
        seconds = await self._clients.log_in_many(way, count)
        self._report.add(f"sessions.{name}", count / seconds, "/s")
        self._report.add(f"sessions_cpu.{name}", await meter.spent() / count * _MS, "ms")

    async def bulk(self, name: str, way: Way, prefix: str = "bulk") -> None:
        """One stream down, then one up."""
        size = self._options.megabytes * _MB
        for direction in ("down", "up"):
            meter = _Meter(way)
            if direction == "down":
                seconds = await self._clients.download(way, size)
            else:
                seconds = await self._clients.upload(way, self._source)
            self._report.add(f"{prefix}_{direction}.{name}", size / seconds / _MB, "MB/s")
            self._report.add(f"{prefix}_{direction}_cpu.{name}", await meter.spent() / size * _GB, "s/GB")

    async def idle_memory(self, name: str, server: Server) -> None:
        """On a server that has just started: what it once took for sessions it may keep."""
        async with server() as way:
            meter = _Meter(way)
            await self._clients.log_in(way)
            await meter.spent()
            before = _private_mib(way)
            async with self._clients.idle(way, self._options.idle):
                each = (_private_mib(way) - before) / self._options.idle
        self._report.add(f"idle_memory.{name}", each, "MiB")

    async def path(self, ways: Mapping[str, Way]) -> None:
        """`edgectl ssh` and plain ssh in turns, then bulk through each."""
        for _ in range(self._options.connects):
            took = {name: await self._clients.log_in(way) * _MS for name, way in ways.items()}
            for name, milliseconds in took.items():
                self._report.add(f"path_connect.{name}", milliseconds, "ms")
            self._report.add("path_connect.difference", took["edgectl"] - took["ssh"], "ms")
        for name, way in ways.items():
            await self.bulk(name, way, prefix="path_bulk")


class _Meter:
    """Processor time of a way's servers and of all that they start, from now on."""

    def __init__(self, way: Way) -> None:
        self._pids = way.pids
        self._before = cpu_seconds_with_ended(way.pids)
        self._lasting = set(family(way.pids))

    async def spent(self) -> float:
        """Once what was started meanwhile is over, because only then it is counted."""
        await within(_QUIET_WITHIN, self._quiet(), "all sessions are over")
        return cpu_seconds_with_ended(self._pids) - self._before

    async def _quiet(self) -> None:
        while not set(family(self._pids)) <= self._lasting:
            await asyncio.sleep(0.005)


def _private_mib(way: Way) -> float:
    """Memory of the servers that nobody shares with them, without the programs that sessions run."""
    servers = {_program(pid) for pid in way.pids}
    parts = [memory_parts(pid) for pid in family(way.pids) if _program(pid) in servers]
    return sum(part.get("Private_Dirty", 0) + part.get("Private_Clean", 0) for part in parts) / 1024


def _program(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def promise(report: Report) -> None:
    """The ratios: of ours to a peer's, so that for `connect` less is better, for the others more."""
    for section in ("connect", "sessions", "bulk_down", "bulk_up"):
        report.compare(f"{section}_vs_sshd", f"{section}.ours", to=f"{section}.sshd")
    report.compare("idle_memory_vs_sshd", "idle_memory.ours", to="idle_memory.sshd")
