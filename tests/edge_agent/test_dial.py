"""How long the agent waits between two tries: jittered, growing, bounded, and long only when an operator must act."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.dial import FIRST_WAIT_SECONDS, HOPELESS_WAIT_SECONDS, LONGEST_WAIT_SECONDS, wait_before
from edge_wire.errors import (
    AdminUntrusted,
    CredentialExpired,
    EdgeError,
    IdentityInUse,
    ProtocolUnsupported,
    StreamBroken,
    Unauthenticated,
    Unavailable,
)

HOPELESS = [IdentityInUse(), Unauthenticated(), AdminUntrusted(), CredentialExpired(), ProtocolUnsupported()]
attempts = st.integers(0, 10**9)
outages = st.floats(0, 10**9)
failures = st.sampled_from([None, Unavailable(), StreamBroken(), *HOPELESS])


def shortest(attempt: int, outage: float, failure: EdgeError | None) -> float:
    return wait_before(attempt, outage, failure, lambda low, _high: low)


def longest(attempt: int, outage: float, failure: EdgeError | None) -> float:
    return wait_before(attempt, outage, failure, lambda _low, high: high)


@given(attempt=attempts, outage=outages, failure=failures, seed=st.integers())
def test_a_wait_lies_between_half_and_all_of_its_bound(
    attempt: int, outage: float, failure: EdgeError | None, seed: int
) -> None:
    wait = wait_before(attempt, outage, failure, random.Random(seed).uniform)
    bound = longest(attempt, outage, failure)
    assert 0 < bound / 2 == shortest(attempt, outage, failure) <= wait <= bound


@given(attempt=attempts, outage=outages, more=outages, failure=failures)
def test_waits_never_shrink_from_one_failure_to_the_next(
    attempt: int, outage: float, more: float, failure: EdgeError | None
) -> None:
    assert longest(attempt, outage, failure) <= longest(attempt + 1, outage + more, failure)


@given(attempt=attempts, outage=outages, failure=st.sampled_from([None, Unavailable(), StreamBroken()]))
def test_an_admin_that_may_come_back_is_tried_every_half_minute_at_least(
    attempt: int, outage: float, failure: EdgeError | None
) -> None:
    assert FIRST_WAIT_SECONDS <= longest(attempt, outage, failure) <= LONGEST_WAIT_SECONDS


def test_after_an_outage_of_ten_seconds_the_next_try_is_less_than_a_second_away() -> None:
    assert longest(1000, 10.0, Unavailable()) == 0.625
    assert longest(1000, 480.0, Unavailable()) == longest(0, 10_000.0, Unavailable()) == LONGEST_WAIT_SECONDS


@given(attempt=attempts, outage=outages, seed=st.integers())
def test_those_that_crowd_an_admin_spread_over_the_longest_wait(attempt: int, outage: float, seed: int) -> None:
    pick = random.Random(seed).uniform
    waits = [wait_before(attempt, outage, Unavailable(), pick, is_crowded=True) for _ in range(100)]
    assert min(waits) < LONGEST_WAIT_SECONDS / 4 < LONGEST_WAIT_SECONDS * 3 / 4 < max(waits) <= LONGEST_WAIT_SECONDS


@pytest.mark.parametrize("failure", HOPELESS, ids=lambda failure: failure.code)
def test_what_only_an_operator_can_mend_is_tried_quickly_at_first_and_seldom_later(failure: EdgeError) -> None:
    assert [longest(attempt, 1000.0, failure) for attempt in range(5)] == [0.25, 0.5, 1.0, 2.0, 4.0]
    assert longest(1000, 0.0, failure) == HOPELESS_WAIT_SECONDS
