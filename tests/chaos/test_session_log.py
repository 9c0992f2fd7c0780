"""Reading an agent's log: when it had a session."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from tests.chaos.ledger import Session
from tests.chaos.session_log import longest_gap, read_sessions


def at(second: int) -> datetime:
    return datetime(2026, 1, 1, 12, 0, second, tzinfo=UTC)


def line(second: int, message: str) -> str:
    return json.dumps({"time": at(second).isoformat(), "message": message})


def test_a_session_lasts_until_the_log_says_that_there_is_none() -> None:
    lines = [line(1, "session opened"), line(5, "no session: broken"), line(6, "no session: still"), "Traceback"]
    lines += [line(9, "session opened"), line(10, "the runner died; its executions are lost")]
    sessions = read_sessions(lines)
    assert sessions == [Session(since=at(1), until=at(5)), Session(since=at(9), until=None)]
    assert longest_gap(sessions) == timedelta(seconds=4)


def test_a_killed_agent_says_nothing_before_its_next_session() -> None:
    sessions = read_sessions([line(1, "session opened"), line(7, "session opened")])
    assert sessions == [Session(since=at(1), until=at(7)), Session(since=at(7), until=None)]
    assert longest_gap(sessions) == timedelta()


def test_no_session_at_all() -> None:
    assert read_sessions([line(1, "no session: unreachable")]) == []
    assert longest_gap([]) == timedelta()
