"""Which program and which protocol this is."""

from __future__ import annotations

from edge_wire.release import PROGRAM as PROGRAM
from edge_wire.v1 import session_pb2

PROTOCOL_MAJOR = 1
PROTOCOL_MINOR = 0


def protocol() -> session_pb2.ProtocolVersion:
    """The newest version of the session's frames that this program speaks."""
    return session_pb2.ProtocolVersion(major=PROTOCOL_MAJOR, minor=PROTOCOL_MINOR)


def agreed_minor(theirs: session_pb2.ProtocolVersion) -> int | None:
    """The minor version to speak with the other side, or None when the major versions differ."""
    if theirs.major != PROTOCOL_MAJOR:
        return None
    return min(theirs.minor, PROTOCOL_MINOR)
