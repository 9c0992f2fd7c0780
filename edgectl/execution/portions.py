"""Numbers of targets as people write them: `64` or `25%`."""

from __future__ import annotations

import re

from edge_wire.errors import UsageError
from edge_wire.v1 import command_pb2 as pb

_PORTION = re.compile(r"(\d{1,6})(%?)")


def read_portion(flag: str, text: str, *, least: int = 1) -> pb.Portion:
    """A number from `least` on, or a percentage up to 100%. Raises UsageError."""
    match = _PORTION.fullmatch(text)
    number = int(match[1]) if match else -1
    is_percent = bool(match and match[2])
    if number < least or (is_percent and number > 100):
        raise UsageError(f"{flag} {text!r} is neither a number from {least} on nor {least}% to 100%")
    return pb.Portion(percent=number) if is_percent else pb.Portion(count=number)
