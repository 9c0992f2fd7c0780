"""How many connections there are, and whether one more may come. Used from several threads; does no I/O.

The node's own port and tunnels are counted by themselves: strangers on the port cannot keep out those whom an admin
has let in.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import Counter
from dataclasses import dataclass, field

from edge_agent.ssh.settings import SshSettings
from edge_wire.v1 import ssh_pb2 as pb

_RESERVED = 4
"""One in so many sessions is for tunnels only."""
_NETWORK_BITS = 64
"""What one holder of IPv6 addresses has at least."""
_LOOPBACK = "127.0.0.0/8"


@dataclass
class _Count:
    waiting: Counter[str] = field(default_factory=Counter)
    """Connections that have not logged in, by address."""
    sessions: int = 0

    def stop_waiting(self, place: str) -> None:
        self.waiting[place] -= 1
        if self.waiting[place] <= 0:
            del self.waiting[place]


class Limits:
    """Counts of connections that have logged in and of those that have not."""

    def __init__(self, settings: SshSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._on_own_port, self._in_tunnels = _Count(), _Count()

    def has_room(self, origin: pb.SshOrigin) -> bool:
        """Whether one more connection may come from there."""
        count = self._count_of(origin)
        return (
            self._has_room_for_a_session(origin)
            and count.waiting.total() < self._settings.max_unauthenticated
            and count.waiting[_place(origin)] < self._settings.max_unauthenticated_per_address
        )

    def enter(self, origin: pb.SshOrigin) -> bool:
        """Count a new connection, or say that it is one too many."""
        with self._lock:
            has_room = self.has_room(origin)
            if has_room:
                self._count_of(origin).waiting[_place(origin)] += 1
            return has_room

    def log_in(self, origin: pb.SshOrigin) -> bool:
        """A connection that waited is a session now, or there are too many of those already."""
        with self._lock:
            has_room = self._has_room_for_a_session(origin)
            if has_room:
                count = self._count_of(origin)
                count.stop_waiting(_place(origin))
                count.sessions += 1
            return has_room

    def leave(self, origin: pb.SshOrigin, *, has_logged_in: bool) -> None:
        """A connection is over."""
        with self._lock:
            count = self._count_of(origin)
            if has_logged_in:
                count.sessions -= 1
            else:
                count.stop_waiting(_place(origin))

    def _count_of(self, origin: pb.SshOrigin) -> _Count:
        return self._in_tunnels if _is_tunnel(origin) else self._on_own_port

    def _has_room_for_a_session(self, origin: pb.SshOrigin) -> bool:
        most = self._settings.max_sessions
        if self._on_own_port.sessions + self._in_tunnels.sessions >= most:
            return False
        reserved = -(-most // _RESERVED)
        return _is_tunnel(origin) or self._on_own_port.sessions < max(1, most - reserved)


def _is_tunnel(origin: pb.SshOrigin) -> bool:
    return bool(origin.tunnel_id or origin.principal)


def _place(origin: pb.SshOrigin) -> str:
    """What is counted as one address; what a tunnel's admin says of it is not looked into."""
    if _is_tunnel(origin):
        return origin.address
    try:
        address = ipaddress.ip_address(origin.address)
    except ValueError:
        return origin.address
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.IPv6Network((int(address), _NETWORK_BITS), strict=False))
        address = address.ipv4_mapped
    return _LOOPBACK if address.is_loopback else str(address)
