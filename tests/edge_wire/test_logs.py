"""Checks log lines as another program sees them: on stderr, JSON for machines, text for people."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

PROGRAM = """
import logging, sys
from edge_wire import logs
logs.set_up(sys.argv[1], sys.argv[2])
log = logging.getLogger("edge_server.sessions")
log.debug("not worth it")
log.info("session %s opened", "s-1", extra={"node": "n-1"})
try:
    1 / 0
except ZeroDivisionError:
    log.exception("it broke")
logging.getLogger("alembic.runtime").info("chatter")
"""


def logged(log_format: str, level: str = "info") -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, log_format, level], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("log_format", ["json", "auto"])
def test_a_machine_reads_one_object_per_line(log_format: str) -> None:
    opened, broke = [json.loads(line) for line in logged(log_format).splitlines()]
    assert datetime.fromisoformat(opened.pop("time")).tzinfo == UTC
    assert opened == {
        "level": "info",
        "logger": "edge_server.sessions",
        "message": "session s-1 opened",
        "node": "n-1",
    }
    assert broke["level"] == "error"
    assert broke["traceback"].endswith("ZeroDivisionError: division by zero")


def test_people_read_text_with_what_belongs_to_it() -> None:
    first, second, *trace = logged("text").splitlines()
    assert first[8:] == " info    session s-1 opened node=n-1"
    assert second[8:] == " error   it broke"
    assert trace[-1] == "ZeroDivisionError: division by zero"


def test_the_level_decides_what_is_worth_a_line() -> None:
    assert "not worth it" in logged("text", "debug")
    assert "session" not in logged("text", "warning")
