"""The benchmark of SSH, as small as it gets: what it may be asked, and everything that it starts is real and gone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.bench.processes import ROOT
from tests.bench.ssh.options import FEWEST_ROUNDS, SECTIONS, parse
from tests.bench.ssh.rounds import PROMISED
from tests.bench.test_run import programs_below
from tests.support.eventually import eventually

_WITHIN = 300.0
_TINY = ("--rounds", "1", "--connects", "1", "--sessions", "8", "--megabytes", "1", "--idle", "2")
slow = pytest.mark.slow
takes_its_time = pytest.mark.timeout(400)


async def start(tmp_path: Path, *words: str, **environ: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "scripts/bench/ssh"),
        *words,
        env={**os.environ, "TMPDIR": str(tmp_path), **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def test_every_section_is_run_five_times_unless_less_is_asked_for() -> None:
    assert (parse([]).sections, parse([]).rounds, parse([]).has_peers) == (SECTIONS, FEWEST_ROUNDS, False)
    assert parse(["--only", "bulk,path", "--peers"]).sections == ["bulk", "path"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rounds", "0"], "at least one round"),
        (["--connects", "0"], "--connects: from 1 to"),
        (["--sessions", "-8"], "--sessions: from 1 to"),
        (["--megabytes", "99999999"], "--megabytes: from 1 to"),
        (["--idle", "2000"], "--idle: from 1 to 900"),
        (["--idle", "many"], "many"),
        (["--only", "connect,speed"], "no section speed"),
        (["--json", "/no/such/directory/report.json"], "no directory /no/such/directory"),
        (["sshd"], "unrecognized arguments"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@slow
@takes_its_time
async def test_a_tiny_run_measures_every_section_beside_sshd(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    process = await start(tmp_path, *_TINY, "--peers", "--json", str(report))
    out, err = await asyncio.wait_for(process.communicate(), _WITHIN)
    assert process.returncode == 0, err.decode()
    stored = json.loads(report.read_text())
    assert stored["interrupted"] is False
    assert all(stored["ratios"][name] for name in PROMISED), stored
    assert {name for name in stored["figures"] if name.startswith("path")} >= {
        "path_connect.difference",
        "path_bulk_down.edgectl",
        "path_bulk_up.edgectl",
    }
    assert "idle_memory.ours" in stored["figures"]
    assert not [note for note in stored["notes"] if "failed" in note]
    assert [note.split(",")[0] for note in stored["notes"]] == ["ours: curve25519-sha256", "sshd: curve25519-sha256"]
    assert b"connect_vs_sshd" in out
    assert {path.name for path in tmp_path.iterdir()} == {"report.json"}


@slow
@takes_its_time
async def test_a_machine_without_sshd_is_told_so_and_measures_the_rest(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    process = await start(tmp_path, *_TINY, "--only", "connect", "--json", str(report))
    _, err = await asyncio.wait_for(process.communicate(), _WITHIN)
    assert process.returncode == 0, err.decode()
    stored = json.loads(report.read_text())
    assert stored["ratios"]["connect_vs_sshd"] is None
    assert stored["figures"]["connect.ours"]["count"] == 1


@slow
@takes_its_time
async def test_an_interrupted_run_keeps_what_was_measured_and_leaves_nothing_running(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ("--peers", "--rounds", "100000", "--connects", "2", "--only", "connect", "--json", str(report))
    process = await start(tmp_path, *words)
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
    assert stored["figures"]["connect.ours"]["count"] >= 2
    await eventually(lambda: not programs_below(tmp_path), within=20.0, what="everything it started has ended")
    assert {path.name for path in tmp_path.iterdir()} == {"report.json"}
