"""What the benchmark may be asked, and what it says when the machine does not allow it."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.options import SECTIONS, Refused, files_needed, hosts_for, parse, raise_file_limit
from tests.bench.run import _SECTIONS


def test_every_section_is_run_unless_some_are_chosen() -> None:
    assert parse([]).sections == SECTIONS
    assert list(_SECTIONS) == list(SECTIONS)
    assert parse(["--only", "latency,storm"]).sections == ["latency", "storm"]


def test_nodes_are_the_most_of_any_row() -> None:
    options = parse(["--nodes", "200"])
    assert (options.size(100), options.size(1000)) == (100, 200)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nodes", "0"], "at least one node"),
        (["--nodes", "-3"], "at least one node"),
        (["--rounds", "0"], "at least one round"),
        (["--only", "latency,speed"], "no section speed"),
        (["--spawn", "half"], "half"),
        (["--json", "/no/such/directory/report.json"], "no directory /no/such/directory"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_large_fleet_has_few_processes_and_each_carries_its_share_of_open_files() -> None:
    assert [hosts_for(nodes) for nodes in (1, 250, 251, 10_000)] == [1, 1, 2, 4]
    assert files_needed(1) < 1024
    assert 10_000 < files_needed(10_000) < 20_000


@pytest.fixture
def file_limits(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], list[tuple[int, int]]]:
    """Sets what this process seems to be allowed; returns what it then takes."""

    def set_limits(soft: int, hard: int) -> list[tuple[int, int]]:
        taken: list[tuple[int, int]] = []
        monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
        monkeypatch.setattr(resource, "setrlimit", lambda _, limits: taken.append(limits))
        return taken

    return set_limits


def test_the_soft_limit_is_raised_as_far_as_needed(file_limits: Callable[[int, int], list[tuple[int, int]]]) -> None:
    taken = file_limits(1024, 20_000)
    raise_file_limit(3000)
    assert taken == [(files_needed(3000), 20_000)]
    raise_file_limit(3)
    assert len(taken) == 1


def test_more_nodes_than_files_says_what_to_raise(file_limits: Callable[[int, int], list[tuple[int, int]]]) -> None:
    file_limits(1024, 4096)
    with pytest.raises(Refused, match=r"ulimit -Hn \d+"):
        raise_file_limit(10_000)


def test_a_report_goes_where_it_can_be_written(tmp_path: Path) -> None:
    assert parse(["--json", str(tmp_path / "report.json")]).json == tmp_path / "report.json"
