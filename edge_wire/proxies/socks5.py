"""The server's half of a SOCKS5 handshake (RFC 1928, and RFC 1929 for passwords), without I/O.

Bytes in by `receive`, events out by `next_event`; after `Login` and `Connect` the caller decides and sends the bytes of
the answer that it chose. Only CONNECT exists here. Whether the target is acceptable is not judged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from edge_wire.errors import EdgeError
from edge_wire.proxies.error_answers import Socks5Reply, socks5_reply

VERSION = 5
_PASSWORD_VERSION = 1
_NO_AUTHENTICATION, _USER_AND_PASSWORD, _NO_METHOD = 0, 2, 0xFF
_CONNECT = 1
_IPV4, _DOMAIN, _IPV6 = 1, 3, 4
_ADDRESS_LENGTHS = {_IPV4: 4, _DOMAIN: 1, _IPV6: 16}
"""Of a domain it is the length of its length."""
_PLACE_LIMIT = 64
"""Characters of `[address]:port`. Nodes say where they are connected, and may say anything."""


@dataclass(frozen=True)
class Send:
    """Send this and go on."""

    data: bytes


@dataclass(frozen=True)
class Refuse:
    """Send this, which may be nothing, and end the connection."""

    data: bytes


@dataclass(slots=True, kw_only=True)
class Login:
    """Decide, and send `login_accepted()` or `login_refused()`."""

    user: str
    password: str = field(repr=False)
    is_anonymous: bool
    """The client brought none, and gets no answer to it."""


@dataclass(slots=True)
class Connect:
    """Dial, and send `connected(peer)` or `failed(error)`; what follows the request is in `Socks5Handshake.rest`."""

    host: str
    port: int


Event = Send | Refuse | Login | Connect
_ASK_FOR_PASSWORD = Send(bytes([VERSION, _USER_AND_PASSWORD]))
_ASK_FOR_NOTHING = Send(bytes([VERSION, _NO_AUTHENTICATION]))


class Socks5Handshake:
    """One handshake, up to the request."""

    def __init__(self, *, needs_password: bool) -> None:
        self._needs_password = needs_password
        self._buffer = b""
        self._step = Socks5Handshake._read_greeting
        """No bound method, which would hold what holds it."""

    def receive(self, data: bytes) -> None:
        """Take bytes as they come, split anywhere."""
        self._buffer += data

    def next_event(self) -> Event | None:
        """What is to be done now, or None when more bytes are needed. Ask nothing after `Refuse` or `Connect`."""
        return self._step(self)

    @property
    def rest(self) -> bytes:
        """What came behind what was read so far."""
        return self._buffer

    def _read_greeting(self) -> Event | None:
        if self._buffer and self._buffer[0] != VERSION:
            return Refuse(b"")
        if len(self._buffer) < 2 or len(self._buffer) < 2 + self._buffer[1]:
            return None
        methods = self._take(2 + self._buffer[1])[2:]
        if _USER_AND_PASSWORD in methods:
            # chosen whenever it is offered: the user name may choose the route even where no password is asked for
            self._step = Socks5Handshake._read_login
            return _ASK_FOR_PASSWORD
        if _NO_AUTHENTICATION in methods and not self._needs_password:
            self._step = Socks5Handshake._log_in_nobody
            return _ASK_FOR_NOTHING
        return Refuse(bytes([VERSION, _NO_METHOD]))

    def _log_in_nobody(self) -> Event | None:
        self._step = Socks5Handshake._read_request
        return Login(user="", password="", is_anonymous=True)

    def _read_login(self) -> Event | None:
        buffer = self._buffer
        if buffer and buffer[0] != _PASSWORD_VERSION:
            return Refuse(login_refused())
        if len(buffer) < 2 or len(buffer) < 3 + buffer[1] or len(buffer) < 3 + buffer[1] + buffer[2 + buffer[1]]:
            return None
        user = self._take(2 + buffer[1])[2:]
        password = self._take(1 + self._buffer[0])[1:]
        self._step = Socks5Handshake._read_request
        try:
            return Login(user=user.decode(), password=password.decode(), is_anonymous=False)
        except UnicodeDecodeError:
            return Refuse(login_refused())

    def _read_request(self) -> Event | None:
        buffer = self._buffer
        if buffer and buffer[0] != VERSION:
            return Refuse(_reply(Socks5Reply.GENERAL_FAILURE))
        if len(buffer) > 3 and buffer[3] not in _ADDRESS_LENGTHS:
            return Refuse(_reply(Socks5Reply.ADDRESS_TYPE_NOT_SUPPORTED))
        if len(buffer) < 5:
            return None
        length = 4 + (1 + buffer[4] if buffer[3] == _DOMAIN else _ADDRESS_LENGTHS[buffer[3]]) + 2
        if len(buffer) < length:
            return None
        return _event_of_request(self._take(length))

    def _take(self, size: int) -> bytes:
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken


def login_accepted() -> bytes:
    """The answer to a login that is right."""
    return bytes([_PASSWORD_VERSION, 0])


def login_refused() -> bytes:
    """The answer to a login that is wrong; the connection ends with it."""
    return bytes([_PASSWORD_VERSION, 1])


def connected(peer: str) -> bytes:
    """The answer to a request whose target answered at `peer`, which may be "" or any text."""
    return _connected(peer) if len(peer) <= _PLACE_LIMIT else _reply(Socks5Reply.SUCCEEDED)


@lru_cache(maxsize=1024)  # the same few are asked for again and again
def _connected(peer: str) -> bytes:
    host, _, port = peer.rpartition(":")
    kind, family = (_IPV6, AF_INET6) if host.startswith("[") else (_IPV4, AF_INET)
    try:
        return _reply(Socks5Reply.SUCCEEDED, kind, inet_pton(family, host.strip("[]")) + int(port).to_bytes(2))
    except (OSError, ValueError, OverflowError):
        return _reply(Socks5Reply.SUCCEEDED)


def failed(error: EdgeError) -> bytes:
    """The answer to a request that came to nothing."""
    return _reply(socks5_reply(error))


def _event_of_request(request: bytes) -> Event:
    if request[1] != _CONNECT:
        return Refuse(_reply(Socks5Reply.COMMAND_NOT_SUPPORTED))
    return Connect(_host(request[3], request[4:-2]), int.from_bytes(request[-2:]))


def _host(kind: int, address: bytes) -> str:
    if kind == _DOMAIN:
        # what is not ASCII becomes something that is no name, and is refused as that
        return address[1:].decode("ascii", "backslashreplace")
    return inet_ntop(AF_INET if kind == _IPV4 else AF_INET6, address)


def _reply(reply: Socks5Reply, kind: int = _IPV4, bound: bytes = bytes(6)) -> bytes:
    return bytes([VERSION, reply, 0, kind]) + bound
