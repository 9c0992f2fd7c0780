"""The server's half of a SOCKS4 and SOCKS4a handshake, without I/O. Only CONNECT exists here.

There is no password, only a user id; and a name in place of the address when that is 0.0.0.x.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

VERSION = 4
_CONNECT = 1
_GRANTED, _REJECTED, _REJECTED_USER = 90, 91, 93
_HEAD = 8
_TEXT_LIMIT = 255
"""Bytes of a user id, and of a name."""


@dataclass(frozen=True, kw_only=True)
class Connect:
    """Admit and dial, and send `granted()`, `rejected()` or `rejected_user()`."""

    user: str
    host: str
    port: int


@dataclass(frozen=True)
class Refuse:
    """Send this, which may be nothing, and end the connection."""

    data: bytes


class Socks4Handshake:
    """One handshake, which is a single request."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, data: bytes) -> None:
        """Take bytes as they come, split anywhere."""
        self._buffer += data

    def next_event(self) -> Connect | Refuse | None:
        """What is to be done, or None when more bytes are needed. Ask nothing after an event."""
        if self._buffer and self._buffer[0] != VERSION:
            return Refuse(b"")
        if len(self._buffer) <= _HEAD:
            return None
        user = self._text_at(_HEAD)
        if user is None:
            return self._wait_for_text(_HEAD)
        address = bytes(self._buffer[4:_HEAD])
        end = _HEAD + len(user) + 1
        if address[:3] != bytes(3) or not address[3]:
            return self._event_of_request(user, str(IPv4Address(address)), end)
        name = self._text_at(end)
        if name is None:
            return self._wait_for_text(end)
        # what is not ASCII becomes something that is no name, and is refused as that
        return self._event_of_request(user, name.decode("ascii", "backslashreplace"), end + len(name) + 1)

    @property
    def rest(self) -> bytes:
        """What came behind the request."""
        return bytes(self._buffer)

    def _text_at(self, start: int) -> bytes | None:
        """The text that begins there, when its end is here and it is not too long."""
        end = self._buffer.find(0, start, start + _TEXT_LIMIT + 1)
        return None if end < 0 else bytes(self._buffer[start:end])

    def _wait_for_text(self, start: int) -> Refuse | None:
        return Refuse(rejected()) if len(self._buffer) > start + _TEXT_LIMIT else None

    def _event_of_request(self, user: bytes, host: str, end: int) -> Connect | Refuse:
        command, port = self._buffer[1], int.from_bytes(self._buffer[2:4])
        del self._buffer[:end]
        if command != _CONNECT:
            return Refuse(rejected())
        try:
            return Connect(user=user.decode(), host=host, port=port)
        except UnicodeDecodeError:
            return Refuse(rejected_user())


def granted() -> bytes:
    """The answer to a request whose target answered."""
    return _reply(_GRANTED)


def rejected() -> bytes:
    """The answer to a request that came to nothing."""
    return _reply(_REJECTED)


def rejected_user() -> bytes:
    """The answer to a user that is not admitted."""
    return _reply(_REJECTED_USER)


def _reply(code: int) -> bytes:
    return bytes([0, code]) + bytes(6)
