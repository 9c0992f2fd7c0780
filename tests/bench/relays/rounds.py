"""What one round measures of one relay, and which ratios the report promises."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.bench.figures import Report
from tests.bench.processes import Failed, Helper
from tests.bench.relays.ways import Way

STREAMS = (1, 8, 64)
STREAMS_OF_A_SESSION = (1, 8)
PROMISED = (
    "bulk_vs_haproxy",
    "bulk64_vs_haproxy",
    "cpu_vs_haproxy",
    "connections_vs_microsocks",
    "round_trip_vs_haproxy",
)
_GB = 1e9
_MB = 1e6
_LEAD = 0.5
"""Seconds that bulk streams are given to get going before round trips count."""


class Load:
    """The clients: one process for bulk and connections, one for round trips meanwhile."""

    def __init__(self, bulky: Helper, small: Helper, seconds: float) -> None:
        self._bulky = bulky
        self._small = small
        self._seconds = seconds

    async def measure(self, section: str, report: Report, name: str, way: Way) -> None:
        """Note what a section is about. Raises Failed."""
        if section == "bulk":
            for streams in STREAMS:
                await self._bulk(report, f"bulk{streams}.{name}", f"cpu{streams}.{name}", way, streams)
        elif section == "round_trips":
            await self._round_trips(report, name, way)
        else:
            await self._connections(report, name, way)

    async def through_a_session(self, report: Report, way: Way) -> None:
        """Bulk that passes an admin and an agent. Raises Failed."""
        for streams in STREAMS_OF_A_SESSION:
            await self._bulk(report, f"session{streams}", f"session_cpu{streams}", way, streams)

    async def idle(self, report: Report, way: Way, tunnels: int) -> None:
        """What tunnels in which nothing moves take of the memory of the admin and of the agent. Raises Failed."""
        found = await self._ask(self._bulky, "idle", way, count=tunnels)
        for name, kib in zip(("admin", "agent"), found["kib"], strict=True):
            report.add(f"idle.{name}_per_tunnel", kib / tunnels, "KiB")

    async def _bulk(self, report: Report, rate: str, cpu: str, way: Way, streams: int) -> None:
        found = await self._ask(self._bulky, "bulk", way, streams=streams, seconds=self._seconds)
        report.add(rate, found["bytes"] / found["seconds"] / _MB, "MB/s")
        if way.pids:
            report.add(cpu, found["cpu"] / found["bytes"] * _GB, "s/GB")

    async def _round_trips(self, report: Report, name: str, way: Way) -> None:
        bulky = self._ask(self._bulky, "bulk", way, streams=STREAMS[-1], seconds=_LEAD + self._seconds)
        small = self._ask(self._small, "round_trips", way, lead=_LEAD, seconds=self._seconds)
        answers = await asyncio.gather(bulky, small)
        times = sorted(answers[1]["microseconds"])
        report.add(f"round_trip_p50.{name}", times[len(times) // 2], "us")
        report.add(f"round_trip_p99.{name}", times[len(times) * 99 // 100], "us")

    async def _connections(self, report: Report, name: str, way: Way) -> None:
        found = await self._ask(self._bulky, "connections", way, seconds=self._seconds)
        report.add(f"connections.{name}", found["count"] / found["seconds"], "/s")
        if way.pids and found["count"]:
            report.add(f"connection_cpu.{name}", found["cpu"] / found["count"] * 1e6, "us")

    async def _ask(self, helper: Helper, question: str, way: Way, **fields: float) -> dict[str, Any]:
        found: dict[str, Any] = await helper.ask(question, way=way.to_json(), **fields)
        if found.get("failure"):
            raise Failed(str(found["failure"]))
        return found


def promise(report: Report) -> None:
    """The ratios: of ours to a peer's, so that for MB/s and connections more is better, for the others less."""
    for streams in STREAMS:
        report.compare(f"bulk{streams}_vs_haproxy", f"bulk{streams}.ours", to=f"bulk{streams}.haproxy")
        report.compare(f"bulk{streams}_vs_direct", f"bulk{streams}.ours", to=f"bulk{streams}.direct")
        report.compare(f"cpu{streams}_vs_haproxy", f"cpu{streams}.ours", to=f"cpu{streams}.haproxy")
    report.compare_worst("bulk_vs_haproxy", ["bulk1_vs_haproxy", "bulk8_vs_haproxy"], worst=min)
    report.compare_worst("cpu_vs_haproxy", [f"cpu{streams}_vs_haproxy" for streams in STREAMS], worst=max)
    report.compare("round_trip_vs_haproxy", "round_trip_p99.ours", to="round_trip_p99.haproxy")
    report.compare("connections_vs_microsocks", "connections.ours", to="connections.microsocks")
