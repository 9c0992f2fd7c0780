"""Enrollment keys as values, and whether one still admits. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from edge_wire.errors import EnrollmentKeyExpired, EnrollmentKeySpent, InvalidValue

DEFAULT_LIFE = timedelta(hours=24)
USES_LIMIT = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class EnrollmentKey:
    """Lets one or more new agents join one cluster."""

    id: str
    cluster_name: str
    uses_left: int | None
    expires_at: datetime | None
    labels: Mapping[str, str]
    created_at: datetime
    last_used_at: datetime | None


def require_usable(*, uses_left: int | None, expires_at: datetime | None, now: datetime) -> None:
    """Raise EnrollmentKeyExpired or EnrollmentKeySpent when a key admits nobody any more."""
    if expires_at is not None and expires_at <= now:
        raise EnrollmentKeyExpired(hint="ask for a new one: edgectl enroll-key create")
    if uses_left == 0:
        raise EnrollmentKeySpent(hint="ask for a new one: edgectl enroll-key create")


def expiry(expires_in: timedelta | None, now: datetime) -> datetime | None:
    """When a key made now stops working: absent is a day, zero is never."""
    life = DEFAULT_LIFE if expires_in is None else expires_in
    return now + life if life else None


def check_uses(asked: int | None) -> None:
    """Raise InvalidValue when nobody can mean so many uses."""
    if asked is not None and asked > USES_LIMIT:
        raise InvalidValue(f"a key has at most {USES_LIMIT} uses; 0 is without limit")


def uses(asked: int | None) -> int | None:
    """How many uses a new key has: absent is one, zero is unlimited."""
    if asked is None:
        return 1
    return asked or None
