"""The report: medians, spread, ratios of medians, and a JSON file that is whole or the one before."""

from __future__ import annotations

import json
from pathlib import Path

from tests.bench.figures import Figure, Report


def test_one_slow_value_moves_the_spread_but_not_the_median() -> None:
    summary = Figure("s", [1.0, 2.0, 3.0, 4.0, 100.0]).summary()
    assert (summary["median"], summary["min"], summary["max"], summary["count"]) == (3.0, 1.0, 100.0, 5)
    assert summary["p10"] == 1.4
    assert summary["p90"] == 61.6


def test_a_single_value_is_its_own_spread() -> None:
    summary = Figure("s", [2.0]).summary()
    assert (summary["p10"], summary["median"], summary["p99"]) == (2.0, 2.0, 2.0)


def test_ratios_are_of_medians_and_scaled() -> None:
    report = Report({})
    report.add_all("ours", [1.0, 2.0, 30.0])
    report.add_all("theirs", [8.0, 8.0, 9.0])
    report.compare("vs_clush_warm", "theirs", "ours")
    report.compare("per_node_10000_vs_1000", "theirs", "ours", scale=0.1)
    assert report.ratios()["vs_clush_warm"] == 4.0
    assert report.ratios()["per_node_10000_vs_1000"] == 0.4


def test_a_promised_ratio_that_was_not_measured_is_null_and_not_missing() -> None:
    report = Report({})
    report.add("ours", 1.0)
    report.compare("vs_clush_cold", "theirs", "ours")
    assert report.to_json(interrupted=False)["ratios"] == {
        "vs_clush_cold": None,
        "vs_clush_warm": None,
        "vs_bare_grpc_1000": None,
        "per_node_10000_vs_1000": None,
    }
    assert any(line.startswith("vs_clush_cold") and "not measured" in line for line in report.lines())


def test_what_is_measured_while_warming_up_is_dropped() -> None:
    report = Report({})
    report.is_counting = False
    report.add("ours", 1.0)
    assert report.to_json(interrupted=False)["figures"] == {}


def test_the_file_says_machine_notes_curves_and_whether_the_run_was_interrupted(tmp_path: Path) -> None:
    report = Report({"cores": 2})
    report.add("latency", 12.5, "ms")
    report.curve("back", [(0.5, 10.0), (1.0, 100.0)])
    report.note("left out: pdsh is not installed")
    report.note("left out: pdsh is not installed")
    report.write(tmp_path / "report.json", interrupted=True)
    stored = json.loads((tmp_path / "report.json").read_text())
    assert stored["machine"] == {"cores": 2}
    assert stored["figures"]["latency"]["unit"] == "ms"
    assert stored["curves"] == {"back": [[0.5, 10.0], [1.0, 100.0]]}
    assert stored["notes"] == ["left out: pdsh is not installed"]
    assert stored["interrupted"] is True
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
