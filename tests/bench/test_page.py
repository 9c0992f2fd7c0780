"""The report in a page: what stands around it stays, and a page without a place for it is refused at once."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.bench import page
from tests.bench.figures import Report
from tests.bench.page import BEGIN, END, NoPlace
from tests.bench.processes import ROOT

TODAY = date(2026, 3, 1)


def a_report() -> dict[str, object]:
    report = Report({"command": "scripts/bench/exec --peers", "cores": 2, "load_at_start": [0.5, 1.0, 2.0]})
    report.add_all("fanout100.running_client", [0.2, 0.3, 0.4])
    report.add_all("peer.clush_cold", [6.0, 6.0, 6.3])
    report.compare("vs_clush_cold", "peer.clush_cold", "fanout100.running_client")
    report.curve("storm.back", [(1.0, 500.0), (2.0, 1000.0)])
    report.note("left out: pdsh is not installed")
    return report.to_json(interrupted=False)


def test_a_report_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"# Page\n\n{BEGIN}\nthe one before\n{END}\n\nthe rest\n")
    page.check(path)
    page.write(path, a_report(), TODAY)
    text = path.read_text()
    assert text.startswith(f"# Page\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nthe rest\n")
    assert "the one before" not in text
    assert "`scripts/bench/exec --peers` on 2026-03-01, 2 cores" in text
    assert "| `vs_clush_cold` | 20 |" in text
    assert "| `vs_clush_warm` | not measured |" in text
    assert "| `fanout100.running_client` | 0.3 s | 0.22 to 0.38 | 3 |" in text
    assert "`storm.back`: 500 at 1, 1000 at 2." in text
    assert "Note: left out: pdsh is not installed." in text
    page.write(path, a_report(), TODAY)
    assert path.read_text() == text
    assert [found.name for found in tmp_path.iterdir()] == ["page.md"]


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}"], ids=["empty", "no end", "the wrong way round"])
def test_a_page_without_a_place_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "page.md"
    path.write_text(text)
    with pytest.raises(NoPlace, match="has no line"):
        page.check(path)
    with pytest.raises(NoPlace, match="cannot be read"):
        page.check(tmp_path / "none.md")


def test_the_page_of_this_project_has_a_place() -> None:
    page.check(ROOT / "docs" / "benchmarks.md")
