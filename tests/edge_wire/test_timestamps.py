"""Checks times between Python and protobuf: what goes in comes out, and what is absent stays absent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_wire.timestamps import from_duration, from_timestamp, to_duration, to_timestamp

TEN_YEARS = timedelta(days=3650)


def test_an_absent_value_stays_absent() -> None:
    assert to_timestamp(None) is None
    assert to_duration(None) is None


def test_a_moment_is_seconds_and_nanoseconds_since_1970() -> None:
    moment = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
    assert to_timestamp(moment) == Timestamp(seconds=1_772_366_400, nanos=250_000_000)


def test_a_moment_elsewhere_is_the_same_moment() -> None:
    oslo = timezone(timedelta(hours=2))
    stamp = to_timestamp(datetime(2026, 7, 1, 14, 0, tzinfo=oslo))
    assert stamp is not None
    assert from_timestamp(stamp) == datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


def test_a_time_from_the_wire_is_aware_and_in_utc() -> None:
    assert from_timestamp(Timestamp(seconds=0)).tzinfo is UTC
    assert from_timestamp(Timestamp(seconds=1, nanos=1_999)) == datetime(1970, 1, 1, 0, 0, 1, 1, tzinfo=UTC)


def test_a_duration_is_seconds_and_nanoseconds() -> None:
    assert to_duration(timedelta(minutes=1, milliseconds=500)) == Duration(seconds=60, nanos=500_000_000)
    assert to_duration(timedelta(0)) == Duration()
    assert from_duration(Duration(seconds=-1, nanos=-500_000_000)) == timedelta(seconds=-1.5)


@settings(deadline=None, derandomize=True)
@given(st.datetimes(timezones=st.just(UTC)))
def test_every_moment_survives_the_wire(moment: datetime) -> None:
    stamp = to_timestamp(moment)
    assert stamp is not None
    assert from_timestamp(stamp) == moment


@settings(deadline=None, derandomize=True)
@given(st.timedeltas(min_value=-TEN_YEARS, max_value=TEN_YEARS))
def test_every_duration_survives_the_wire(span: timedelta) -> None:
    duration = to_duration(span)
    assert duration is not None
    assert from_duration(duration) == span
