"""What a client says when it wants a connection through the node (RFC 4254, section 7.2)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, eq=False)
class DirectConnection:
    """A client's wish for a connection to a place that the node reaches. Two are never the same."""

    channel: int
    """The client's number of it."""
    window: int
    packet_size: int
    host: str
    port: int
