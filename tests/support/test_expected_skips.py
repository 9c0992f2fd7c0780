"""Checks the rule about skips: what is not expected turns the run red and is listed with its reason."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.expected_skips import VARIABLE, is_expected, read_expected

ROOT = Path(__file__).parents[2]
SKIPPING = """
import pytest

def test_passes():
    pass

@pytest.mark.skip(reason="no such hardware")
def test_skips():
    pass
"""


def run_pytest(directory: Path, test: str, expected: str | None) -> subprocess.CompletedProcess[str]:
    (directory / "test_it.py").write_text(test)
    (directory / "pytest.ini").write_text("[pytest]\n")
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE and "PYTEST" not in name}
    if expected is not None:
        (directory / "expected.txt").write_text(expected)
        environment[VARIABLE] = "expected.txt"
    argv = [sys.executable, "-m", "pytest", "-p", "tests.support.expected_skips", "-p", "no:cacheprovider"]
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.run(argv, cwd=directory, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_an_unexpected_skip_turns_the_run_red_and_is_listed_with_its_reason(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, SKIPPING, "# nothing\n")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "test_it.py::test_skips: no such hardware" in done.stdout
    assert "1 passed, 1 skipped" in done.stdout.splitlines()[-1]


def test_an_expected_skip_is_fine(tmp_path: Path) -> None:
    assert run_pytest(tmp_path, SKIPPING, "test_it.py::test_skips\n").returncode == 0


def test_nobody_judges_skips_when_no_file_is_named(tmp_path: Path) -> None:
    assert run_pytest(tmp_path, SKIPPING, None).returncode == 0


def test_a_module_that_skips_as_a_whole_counts(tmp_path: Path) -> None:
    module = "import pytest\npytest.skip('no library', allow_module_level=True)\n"
    done = run_pytest(tmp_path, module + SKIPPING, "")
    assert done.returncode != 0
    assert "test_it.py: no library" in done.stdout


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    test = "import pytest\n@pytest.mark.xfail\ndef test_it():\n    assert False\n"
    assert run_pytest(tmp_path, test, "").returncode == 0


def test_the_file_has_comments_and_stars() -> None:
    patterns = read_expected("# why\ntests/a.py::test_one[x-1] # because\n\ntests/b.py::*\n")
    assert patterns == ["tests/a.py::test_one[x-1]", "tests/b.py::*"]
    assert is_expected("tests/a.py::test_one[x-1]", patterns)
    assert is_expected("tests/b.py::test_two", patterns)
    assert not is_expected("tests/a.py::test_one[x-2]", patterns)
