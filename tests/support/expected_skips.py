"""Turns a run red when a test was skipped that nobody expected to be skipped.

Active where the environment variable EDGE_EXPECTED_SKIPS names a file of test ids (CI sets it). It judges only skips;
why a test skips is the test's own business.
"""

import os
from collections.abc import Iterator, Sequence

import pytest

VARIABLE = "EDGE_EXPECTED_SKIPS"


def read_expected(text: str) -> list[str]:
    """Return the patterns of an expectation file: one per line, without comments and blank lines."""
    lines = (line.partition(" #")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def is_expected(test_id: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern names this test: the whole id, or its beginning when the pattern ends with a star."""
    return any(
        test_id.startswith(pattern.removesuffix("*")) if pattern.endswith("*") else test_id == pattern
        for pattern in patterns
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    # Before pytest's own reporter, which takes the exit status into the summary.
    if session.exitstatus == pytest.ExitCode.OK and unexpected_skips(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    unexpected = unexpected_skips(config)
    if not unexpected:
        return
    terminalreporter.section("unexpected skips", red=True, bold=True)
    for report in unexpected:
        terminalreporter.write_line(f"{report.nodeid}: {skip_reason(report)}")
    terminalreporter.write_line(f"install what is missing, or name the test in {os.environ[VARIABLE]}")


def unexpected_skips(config: pytest.Config) -> list[pytest.TestReport | pytest.CollectReport]:
    """Return the reports of skipped tests and modules that the expectation file does not name."""
    expectation = os.environ.get(VARIABLE)
    reporter: pytest.TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    if not expectation or reporter is None:  # an xdist worker has no reporter; its controller judges
        return []
    patterns = read_expected((config.rootpath / expectation).read_text())
    return [report for report in reporter.stats.get("skipped", []) if not is_expected(report.nodeid, patterns)]


def skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return why a test was skipped, in its own words."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(report.longrepr)
