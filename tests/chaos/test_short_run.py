"""A short run of the whole suite on each database; and a run that is told to stop leaves nothing."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.chaos import processes, report
from tests.chaos.program import Plan, run_once
from tests.chaos.site import SITE_VARIABLE
from tests.support.eventually import eventually
from tests.support.postgres import binaries

PLAN = Plan(seed=4, seconds=20.0, node_count=6)
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(420)
@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_a_short_run_is_clean(tmp_path: Path, database: str) -> None:
    if database == "postgres" and binaries() is None:
        pytest.skip("PostgreSQL's server is not installed")
    run = await run_once(PLAN, database, tmp_path)
    assert run.is_clean, report.render(run)
    assert sum(run.faults.values()) > 5
    assert len(run.evidence.executions) > 10


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_run_that_is_told_to_stop_leaves_nothing(tmp_path: Path) -> None:
    words = ["--seed", "1", "--seconds", "600", "--database", "sqlite", "--nodes", "2"]
    environ = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    program = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "scripts" / "chaos"), *words, env=environ, stdout=asyncio.subprocess.PIPE
    )
    assert program.stdout is not None
    assert await asyncio.wait_for(program.stdout.readline(), 60.0) == b"chaos: seed 1\n"
    (directory,) = await eventually(lambda: list(tmp_path.glob("edge-chaos-*")), within=30.0)
    log = directory / "faults.log"
    await eventually(lambda: log.exists() and "online" in log.read_text(), within=120.0, what="everything is online")
    assert list(processes.with_variable(SITE_VARIABLE, str(directory)))
    program.send_signal(signal.SIGTERM)
    rest, _ = await asyncio.wait_for(program.communicate(), 60.0)
    assert program.returncode == 128 + signal.SIGTERM, rest
    assert not list(processes.with_variable(SITE_VARIABLE, str(directory)))
    assert not directory.exists()
