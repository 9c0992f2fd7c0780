"""The benchmark of relays, as small as it gets: what it may be asked, and that nothing is left of what it starts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.bench.relays.options import FEWEST_ROUNDS, IDLE_TUNNELS, SECTIONS, parse
from tests.bench.relays.rounds import PROMISED
from tests.bench.test_run import programs_below, start

_WITHIN = 300.0


def test_every_section_is_run_five_times_unless_less_is_asked_for() -> None:
    assert (parse([]).sections, parse([]).rounds, parse([]).tunnels) == (SECTIONS, FEWEST_ROUNDS, IDLE_TUNNELS)
    assert parse(["--only", "bulk,idle", "--peers"]).sections == ["bulk", "idle"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rounds", "0"], "at least one round"),
        (["--seconds", "0"], "--seconds: more than none"),
        (["--tunnels", "0"], "--tunnels: 1 to"),
        (["--tunnels", "99999"], "--tunnels: 1 to"),
        (["--only", "bulk,speed"], "no section speed"),
        (["--json", "/no/such/directory/report.json"], "no directory /no/such/directory"),
        (["haproxy"], "unrecognized arguments"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(words)
    assert end.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_tiny_run_measures_every_row_it_can(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    small = ("--rounds", "1", "--seconds", "0.1", "--tunnels", "3")
    process = await start("relay", tmp_path, *small, "--json", str(report))
    out, err = await asyncio.wait_for(process.communicate(), _WITHIN)
    assert process.returncode == 0, err.decode()
    stored = json.loads(report.read_text())
    wanted = {"bulk64.ours", "round_trip_p99.ours", "connections.ours", "session1", "session8", "idle.admin_per_tunnel"}
    assert wanted <= set(stored["figures"])
    assert set(stored["ratios"]) >= set(PROMISED)
    assert b"session1" in out
    assert not programs_below(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"report.json"}
