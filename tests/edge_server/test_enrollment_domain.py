"""Checks what an enrollment key admits, and what its defaults are."""

from __future__ import annotations

from datetime import timedelta

import pytest

from edge_server.enrollment.domain import expiry, require_usable, uses
from edge_wire.errors import EnrollmentKeyExpired, EnrollmentKeySpent
from tests.edge_server.fleet import NOON

MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize("uses_left", [1, 7, None])
def test_a_key_with_uses_left_admits_until_the_moment_it_expires(uses_left: int | None) -> None:
    require_usable(uses_left=uses_left, expires_at=NOON + MOMENT, now=NOON)
    require_usable(uses_left=uses_left, expires_at=None, now=NOON)
    with pytest.raises(EnrollmentKeyExpired):
        require_usable(uses_left=uses_left, expires_at=NOON, now=NOON)


def test_a_key_without_uses_left_is_spent() -> None:
    with pytest.raises(EnrollmentKeySpent) as raised:
        require_usable(uses_left=0, expires_at=None, now=NOON)
    assert raised.value.hint == "ask for a new one: edgectl enroll-key create"


@pytest.mark.parametrize(
    ("asked", "expires_at"),
    [
        (None, NOON + timedelta(hours=24)),
        (timedelta(0), None),
        (timedelta(minutes=5), NOON + timedelta(minutes=5)),
    ],
)
def test_a_key_lives_for_a_day_unless_asked_otherwise_and_zero_is_forever(
    asked: timedelta | None, expires_at: object
) -> None:
    assert expiry(asked, NOON) == expires_at


@pytest.mark.parametrize(("asked", "stored"), [(None, 1), (0, None), (1, 1), (25, 25)])
def test_a_key_has_one_use_unless_asked_otherwise_and_zero_is_unlimited(asked: int | None, stored: int | None) -> None:
    assert uses(asked) == stored
