"""Checks durations as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_wire.errors import InvalidValue
from edgectl.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("10s", timedelta(seconds=10)),
        ("5m", timedelta(minutes=5)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("1.5h", timedelta(hours=1, minutes=30)),
        ("500ms", timedelta(milliseconds=500)),
        ("1m500ms", timedelta(minutes=1, milliseconds=500)),
        ("7d", timedelta(days=7)),
        ("3650d", timedelta(days=3650)),
        ("0", timedelta(0)),
        ("0s", timedelta(0)),
        (" 5M ", timedelta(minutes=5)),
    ],
)
def test_a_number_with_a_unit_is_a_duration(text: str, span: timedelta) -> None:
    assert parse_duration(text) == span


@pytest.mark.parametrize(
    "text", ["", " ", "10", "s", "-5s", "+5s", "5 s", "1h 30m", "1,5h", "1e3s", ".5s", "5.s", "5y", "5sx", "x5s", "inf"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="is not a duration: write 30s, 5m, 1h30m or 7d"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["3651d", "3650d1s", f"{'9' * 400}d"])
def test_more_than_ten_years_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="longer than ten years"):
        parse_duration(text)


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 3000), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_units_add_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    assert parse_duration(f"{days}d{hours}h{minutes}m{seconds}s") == span
