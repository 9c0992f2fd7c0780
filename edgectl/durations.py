"""Durations as people write them: `10s`, `5m`, `1h30m`, `500ms`, `7d`."""

from __future__ import annotations

import re
from datetime import timedelta

from edge_wire.errors import InvalidValue, UsageError

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str) -> timedelta:
    """Read a duration. Raises InvalidValue; a bare number is refused, because nobody can know its unit."""
    word = text.strip().lower()
    if word == "0":
        return timedelta(0)
    parts = _PART.findall(word)
    if not parts or "".join(number + unit for number, unit in parts) != word:
        raise InvalidValue(f"{text!r} is not a duration: write 30s, 5m, 1h30m or 7d")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds > 3650 * 86400:
        raise InvalidValue(f"{text!r} is longer than ten years")
    return timedelta(seconds=seconds)


def read_span(option: str, text: str, *, is_zero_meant: bool = True) -> timedelta | None:
    """What an option was given; None when it was not. Raises UsageError."""
    if not text:
        return None
    try:
        span = parse_duration(text)
    except InvalidValue as error:
        raise UsageError(f"{option}: {error.message}") from None
    if not span and not is_zero_meant:
        raise UsageError(f"{option} must be longer than 0", hint="leave it out for no limit")
    return span
