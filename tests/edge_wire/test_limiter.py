"""Checks that guessing credentials is slow, per source address and within bounded memory."""

from __future__ import annotations

from datetime import timedelta

from edge_wire.limiter import LIMIT, FailureLimiter
from tests.edge_server.fleet import NOON

SECOND = timedelta(seconds=1)


def test_a_source_is_turned_away_after_thirty_refusals_within_a_minute() -> None:
    limiter = FailureLimiter()
    for number in range(30):
        assert not limiter.is_blocked("192.0.2.7", NOON)
        limiter.count("192.0.2.7", NOON + number * SECOND)
    assert limiter.is_blocked("192.0.2.7", NOON + 30 * SECOND)


def test_other_sources_are_not_concerned() -> None:
    limiter = FailureLimiter()
    for _ in range(LIMIT):
        limiter.count("192.0.2.7", NOON)
    assert not limiter.is_blocked("192.0.2.8", NOON)


def test_a_source_is_heard_again_when_its_first_refusal_is_more_than_a_minute_old() -> None:
    limiter = FailureLimiter()
    for number in range(LIMIT):
        limiter.count("192.0.2.7", NOON + number * SECOND)
    assert limiter.is_blocked("192.0.2.7", NOON + 60 * SECOND)
    assert not limiter.is_blocked("192.0.2.7", NOON + 61 * SECOND)


def test_a_slow_guesser_is_never_turned_away() -> None:
    limiter = FailureLimiter()
    for number in range(200):
        limiter.count("192.0.2.7", NOON + number * 3 * SECOND)
        assert not limiter.is_blocked("192.0.2.7", NOON + number * 3 * SECOND)


def test_the_source_refused_longest_ago_is_forgotten_first() -> None:
    limiter = FailureLimiter()
    for source in ("old", "busy"):
        for _ in range(LIMIT):
            limiter.count(source, NOON)
    for number in range(9_999):
        limiter.count(f"source {number}", NOON)
        if number == 5_000:
            limiter.count("busy", NOON)
    assert not limiter.is_blocked("old", NOON)
    assert limiter.is_blocked("busy", NOON)


def test_every_refusal_is_counted_for_the_status() -> None:
    limiter = FailureLimiter()
    for number in range(100):
        limiter.count("192.0.2.7", NOON + number * SECOND)
    assert limiter.total == 100
