"""The client side of one exec: in this process over an open connection, or a whole `edgectl` process."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_wire import calls
from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import selector_pb2
from edgectl.connect import Admin
from tests.bench.fleet import Fleet
from tests.bench.processes import Failed
from tests.support.programs import clean_environment

TRUE = ("/bin/true",)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds from the call on."""

    to_last_end: float
    to_finish: float


async def execute(admin: Admin, nodes: int, argv: Sequence[str] = TRUE) -> Timing:
    """Run on all nodes; every one must end well. Raises Failed."""
    spec = pb.CommandSpec(argv=pb.Argv(arguments=argv), fanout=pb.Portion(percent=100))
    create = pb.CreateCommandRequest(selector=selector_pb2.Selector(all=True), spec=spec, request_id=str(uuid.uuid4()))
    began = last_end = time.perf_counter()
    conversation = calls.converse(admin.commands.Exec, token=admin.token)
    try:
        await conversation.write(pb.ExecRequest(create=create))
        async for response in conversation:
            if any(event.HasField("end") for event in response.watch.events):
                last_end = time.perf_counter()
            if response.watch.HasField("finished"):
                ended = time.perf_counter()
                _require_all_ok(response.watch.finished.counts, nodes)
                return Timing(to_last_end=last_end - began, to_finish=ended - began)
    finally:
        conversation.close()
    raise Failed("a command ended without its last word")


async def run_edgectl(fleet: Fleet, *words: str, output: Path | None = None) -> float:
    """Run the whole command line; seconds from its start to its end. Raises Failed."""
    environ = clean_environment(fleet.operator_environment)
    return await run_process([sys.executable, "-m", "edgectl", *words], environ=environ, output=output)


async def run_process(argv: Sequence[str], *, environ: dict[str, str], output: Path | None = None) -> float:
    """Run any program; seconds from its start to its end. Raises Failed when it fails."""
    with Path(output or "/dev/null").open("wb") as file:
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=asyncio.subprocess.PIPE, env=environ
        )
        try:
            _, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        elapsed = time.perf_counter() - began
    if process.returncode:
        raise Failed(f"{' '.join(argv[:6])} failed ({process.returncode}): {errors.decode(errors='replace')[-800:]}")
    return elapsed


def _require_all_ok(counts: pb.OutcomeCounts, nodes: int) -> None:
    if counts.ok != nodes or counts.total != nodes:
        raise Failed(f"of {nodes} nodes {counts.ok} ended well: {str(counts).replace(chr(10), ', ')}")
