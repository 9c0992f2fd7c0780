"""Much output: from one node into a file and from 20 at once, with the admin's memory beside it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from tests.bench import client
from tests.bench.fleet import Fleet
from tests.bench.processes import Failed, resident_kib
from tests.bench.rig import Rig

_NODES = 20


async def run(rig: Rig) -> None:
    """Measure it."""
    async with rig.fleet(rig.plan(_NODES, spawn="real", journal=True)) as fleet:
        count, total = fleet.plan.nodes, rig.options.output_bytes
        cases = {
            "one": lambda: _one(rig, fleet, total),
            "many": lambda: _many(rig, fleet, total // count),
            "pipe": lambda: _pipe(rig, total),
        }
        rig.report.note(
            "output of many nodes is not exact: what a reader is too slow for becomes a gap, and is counted"
        )
        await rig.in_turns(cases)


async def _one(rig: Rig, fleet: Fleet, size: int) -> None:
    path = rig.scratch / "output"
    async with _Memory(rig, fleet, "output.one_node"):
        words = ("exec", "edge00000", "--", "head", "-c", str(size), "/dev/zero")
        seconds = await client.run_edgectl(fleet, *words, output=path)
    _require(path, size)
    rig.report.add("output.one_node_to_file", size / seconds / 1e6, "MB/s")


async def _many(rig: Rig, fleet: Fleet, size: int) -> None:
    directory = rig.scratch / "outputs"
    async with _Memory(rig, fleet, "output.all_nodes"):
        words = ("exec", "--all", "--fanout", "100%", "--view", "none", "--outdir", str(directory))
        seconds = await client.run_edgectl(fleet, *words, "--", "head", "-c", str(size), "/dev/zero")
    arrived = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    shutil.rmtree(directory)
    rig.report.add("output.all_nodes_to_files", arrived / seconds / 1e6, "MB/s")
    rig.report.add("output.all_nodes_share_that_arrived", arrived / (size * fleet.plan.nodes), "of 1")


async def _pipe(rig: Rig, size: int) -> None:
    """What the same program writes into a file by itself."""
    path = rig.scratch / "output"
    seconds = await client.run_process(["head", "-c", str(size), "/dev/zero"], environ={}, output=path)
    _require(path, size)
    rig.report.add("output.without_us", size / seconds / 1e6, "MB/s")


def _require(path: Path, size: int) -> None:
    if path.stat().st_size != size:
        raise Failed(f"{path.stat().st_size} of {size} bytes arrived")
    path.unlink()


class _Memory:
    """How much the admin grows meanwhile, sampled."""

    def __init__(self, rig: Rig, fleet: Fleet, name: str) -> None:
        self._rig, self._fleet, self._name = rig, fleet, name
        self._most = 0

    async def __aenter__(self) -> None:
        self._before = resident_kib(self._fleet.admin_pid)
        self._sampling = asyncio.create_task(self._sample())

    async def __aexit__(self, *_: object) -> None:
        self._sampling.cancel()
        await asyncio.wait({self._sampling})
        self._rig.report.add(f"{self._name}.admin_growth", (self._most - self._before) / 1024, "MiB")

    async def _sample(self) -> None:
        while True:
            self._most = max(self._most, resident_kib(self._fleet.admin_pid))
            await asyncio.sleep(0.05)
