"""One node at rest: from the call to the exit frame, and the whole `edgectl exec` process."""

from __future__ import annotations

import sys

from tests.bench import client
from tests.bench.rig import Rig
from tests.support.programs import clean_environment

_CALLS = 100
"""Per round, over one open connection."""


async def run(rig: Rig) -> None:
    """Measure it."""
    async with rig.fleet(rig.plan(1, spawn="real", journal=True)) as fleet:

        async def calls() -> None:
            timings = [await client.execute(fleet.admin, 1) for _ in range(_CALLS)]
            rig.report.add_all("latency.one_node.exit_frame", (item.to_last_end * 1000 for item in timings), "ms")
            rig.report.add_all("latency.one_node.finished", (item.to_finish * 1000 for item in timings), "ms")

        async def edgectl() -> None:
            for _ in range(3):
                seconds = await client.run_edgectl(fleet, "exec", "edge00000", "--", "/bin/true")
                rig.report.add("latency.one_node.edgectl_process", seconds * 1000, "ms")

        async def imports() -> None:
            words = [sys.executable, "-c", "import grpc.aio, typer, edge_wire.v1.command_pb2_grpc"]
            seconds = await client.run_process(words, environ=clean_environment({}))
            rig.report.add("latency.python_with_grpc_and_typer", seconds * 1000, "ms")

        await rig.in_turns({"calls": calls, "edgectl": edgectl, "imports": imports})
