"""How a client gets to the target: at once, or through a relay and its handshake. Crosses to the load as JSON."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

BULK = b"B"
"""As its first byte it asks the target for bytes without end; any other is echoed, as is what follows."""
ECHO = b"E"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One question of a handshake, in hex, and how its answer begins and how long it is."""

    say: str
    hear: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Way:
    """To a port of loopback, then the steps, then bytes flow."""

    port: int
    steps: Sequence[Step] = ()
    pids: Sequence[int] = field(default=())
    """The processes of the relay."""

    def to_json(self) -> dict[str, Any]:
        """For a helper process."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Way:
        """What `to_json` made."""
        return cls(port=found["port"], steps=[Step(**step) for step in found["steps"]], pids=found["pids"])

    def connect(self) -> socket.socket:
        """A connection that is through; blocking, and bounded in time by the kernel. Raises OSError."""
        connection = socket.socket()
        limit = struct.pack("ll", 10, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.connect(("127.0.0.1", self.port))
        for step in self.steps:
            connection.sendall(bytes.fromhex(step.say))
            answer = connection.recv(step.size)
            while answer and len(answer) < step.size:
                answer += connection.recv(step.size - len(answer))
            if not answer.startswith(bytes.fromhex(step.hear)):
                raise ConnectionRefusedError(f"{answer!r} is not what the handshake expects")
        return connection


def socks5(target_port: int, *, user: str = "", password: str = "") -> list[Step]:
    """Greeting, login if there is a user, and CONNECT to a port of 127.0.0.1 (RFC 1928, 1929)."""
    where = socket.inet_aton("127.0.0.1").hex() + struct.pack(">H", target_port).hex()
    connect = Step(say=f"05010001{where}", hear="0500", size=10)
    if not user:
        return [Step(say="050100", hear="0500", size=2), connect]
    login = f"01{len(user):02x}{user.encode().hex()}{len(password):02x}{password.encode().hex()}"
    return [Step(say="050102", hear="0502", size=2), Step(say=login, hear="0100", size=2), connect]
