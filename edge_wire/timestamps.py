"""Times and durations between Python and protobuf. Datetimes are aware and in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_timestamp(moment: datetime | None) -> Timestamp | None:
    """A field's value; None leaves the field absent."""
    if moment is None:
        return None
    since = moment - _EPOCH  # as Timestamp.FromDatetime does, in a third of its time
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def from_timestamp(stamp: Timestamp) -> datetime:
    """An aware datetime in UTC."""
    return stamp.ToDatetime(tzinfo=UTC)


def to_duration(span: timedelta | None) -> Duration | None:
    """A field's value; None leaves the field absent."""
    if span is None:
        return None
    duration = Duration()
    duration.FromTimedelta(span)
    return duration


def from_duration(duration: Duration) -> timedelta:
    """A timedelta with microseconds; what no timedelta can hold becomes the longest one."""
    try:
        return duration.ToTimedelta()
    except OverflowError:
        return timedelta.max if duration.seconds > 0 else timedelta.min
