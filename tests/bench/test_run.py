"""The benchmark itself, as small as it gets: everything that it starts is real and gone afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.bench.processes import ROOT
from tests.support.eventually import eventually

_WITHIN = 300.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


async def start(script: str, tmp_path: Path, *words: str, **environ: str) -> asyncio.subprocess.Process:
    """Start a benchmark that keeps everything below this directory."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "scripts/bench" / script),
        *words,
        env={**os.environ, "TMPDIR": str(tmp_path), **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize(
    ("sections", "figures"),
    [
        (
            "latency,fanout100,fanout1000,grouped",
            {"latency.one_node.exit_frame", "fanout100.edgectl_process", "fanout1000.bare_grpc", "fanout1000.real"},
        ),
        (
            "output,memory,storm,storm10000,journal,flatness",
            {
                "output.all_nodes_to_files",
                "memory.agent_and_runner_resident",
                "storm.long.back_100%",
                "storm3.back_100%",
            },
        ),
    ],
)
async def test_a_tiny_run_measures_every_row_it_can(tmp_path: Path, sections: str, figures: set[str]) -> None:
    report = tmp_path / "report.json"
    small = ("--nodes", "3", "--rounds", "1", "--executions", "60", "--output-mb", "2", "--outage", "0.1")
    process = await start("exec", tmp_path, *small, "--only", sections, "--json", str(report))
    out, err = await asyncio.wait_for(process.communicate(), _WITHIN)
    assert process.returncode == 0, err.decode()
    stored = json.loads(report.read_text())
    assert stored["interrupted"] is False
    assert figures <= set(stored["figures"])
    assert stored["ratios"]["vs_bare_grpc_1000"] is None
    assert b"vs_bare_grpc_1000" in out
    assert {path.name for path in tmp_path.iterdir()} == {"report.json"}


async def test_an_interrupted_run_keeps_what_was_measured_and_leaves_nothing_running(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ("--nodes", "2", "--rounds", "100000", "--only", "latency", "--json", str(report))
    process = await start("exec", tmp_path, *words)
    assert process.stderr is not None
    while line := await process.stderr.readline():
        if line.startswith(b"round 1 "):
            break
    assert programs_below(tmp_path)
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), _WITHIN)
    assert process.returncode == 130
    stored = json.loads(report.read_text())
    assert stored["interrupted"] is True
    assert stored["figures"]["latency.one_node.finished"]["count"] >= 100
    await eventually(lambda: not programs_below(tmp_path), within=20.0, what="everything it started has ended")
    assert {path.name for path in tmp_path.iterdir()} == {"report.json"}


async def test_more_nodes_than_this_shell_allows_is_refused_before_anything_starts(tmp_path: Path) -> None:
    process = await start("exec", tmp_path, "--nodes", "90000000")
    _, err = await asyncio.wait_for(process.communicate(), _WITHIN)
    assert process.returncode == 2
    assert b"ulimit" in err
    assert not list(tmp_path.iterdir())


def programs_below(directory: Path) -> list[str]:
    """Command lines and directories of processes that have to do with this directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            text = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
        except OSError:
            continue
        if str(directory).encode() in text and int(path.name) != os.getpid():
            found.append(text[:200].decode(errors="replace"))
    return found
