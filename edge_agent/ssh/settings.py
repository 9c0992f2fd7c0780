"""What can be set about the SSH server. The environment is read by `edge_agent.settings`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from edge_wire.listener import ListenAddress

DEFAULT_ENVIRONMENT = ("LANG", "LC_*", "COLORTERM", "EDITOR", "TZ", "GIT_PROTOCOL")


@dataclass(frozen=True, kw_only=True)
class SshSettings:
    """How the SSH server of this node behaves."""

    listen: ListenAddress | None = None
    """None for connections through tunnels only."""
    environment: tuple[str, ...] = DEFAULT_ENVIRONMENT
    """Names and patterns of variables that a client may set. TERM comes with the terminal."""
    record: bool = False
    """Terminals are recorded on the node."""
    max_sessions: int = 64
    max_unauthenticated: int = 32
    max_unauthenticated_per_address: int = 8
    login_grace: timedelta = timedelta(seconds=30)
    """A connection that has not logged in by then is closed."""
    attempts: int = 6
    """Failed proofs per connection."""
    max_channels: int = 32
    """Per connection."""
    keepalive: timedelta = timedelta(seconds=30)
    """A silent client is asked for a sign of life so often; zero for never."""
    offline_grace: timedelta = timedelta(0)
    """How long a key that the admin verified lets in again while no admin can be asked; zero for not at all."""
    hidden: frozenset[str] = frozenset()
    """Names of variables that programs must not see, whoever sets them."""
