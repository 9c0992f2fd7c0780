"""The client's half of CONNECT (RFC 9110, section 9.3.6): asks an HTTP proxy for a tunnel, and reads what it answers.

`ConnectRequest` is without I/O; `reach_through` does both over a stream. A proxy of ours names its errors, and they are
raised as the same class here.
"""

from __future__ import annotations

from base64 import b64encode
from http import HTTPStatus

import h11

from edge_wire.errors import (
    EdgeError,
    InvalidValue,
    StreamBroken,
    TargetInvalid,
    Unauthenticated,
    Unavailable,
    from_code,
)
from edge_wire.names import printable
from edge_wire.proxies.http_answers import ERROR_HEADER
from edge_wire.proxies.http_heads import HEAD_LIMIT
from edge_wire.proxies.read_ahead import ReadAhead
from edge_wire.streams import ByteStream
from edge_wire.targets import Target

_TEXT_LIMIT = 4096
"""Bytes of the text of a refusal that are read."""


class ConnectRequest:
    """One CONNECT: `data` is to be sent, and what comes back goes into `receive`."""

    def __init__(self, target: Target, *, user: str, password: str) -> None:
        if target.is_self:
            raise TargetInvalid("a proxy is asked for a host and a port")
        if ":" in user:
            raise InvalidValue("the user name for a proxy has no ':'")
        credentials = b64encode(f"{user}:{password}".encode())
        authority = str(target).encode("ascii")
        headers = [(b"Host", authority), (b"Proxy-Authorization", b"Basic " + credentials)]
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
        request = h11.Request(method=b"CONNECT", target=authority, headers=headers)
        self.data = self._connection.send(request) + self._connection.send(h11.EndOfMessage())
        self._refusal: h11.Response | None = None
        self._text = b""
        self._is_open = False

    @property
    def rest(self) -> bytes:
        """What came behind the answer that opened the tunnel."""
        return self._connection.trailing_data[0]

    def receive(self, data: bytes) -> bool:
        """Take what came, split anywhere, b"" at the end. Whether the tunnel is open; raises EdgeError when refused.

        Give it nothing more once the tunnel is open.
        """
        self._connection.receive_data(data)
        try:
            while not self._is_open and (event := self._connection.next_event()) is not h11.NEED_DATA:
                self._take(event)
        except h11.RemoteProtocolError:
            if self._refusal is not None:
                raise self._error() from None
            raise StreamBroken("the proxy gave no answer of HTTP") from None
        return self._is_open

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Response) and event.status_code < HTTPStatus.MULTIPLE_CHOICES:
            self._is_open = True
        elif isinstance(event, h11.Response):
            self._refusal = event
        elif isinstance(event, h11.Data):
            self._text += event.data
        if isinstance(event, h11.EndOfMessage) or len(self._text) > _TEXT_LIMIT:
            raise self._error()

    def _error(self) -> EdgeError:
        assert self._refusal is not None
        code = dict(self._refusal.headers).get(ERROR_HEADER.lower(), b"").decode("latin-1")
        text = printable(self._text[:_TEXT_LIMIT].decode("utf-8", "replace").strip(), _TEXT_LIMIT)
        if code:
            return from_code(code, text)
        status = f"the proxy answered {self._refusal.status_code}"
        if self._refusal.status_code == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return Unauthenticated(f"{status}: it does not take these credentials")
        return Unavailable(f"{status} and opened no tunnel", hint="it may be none of an admin")


async def reach_through(stream: ByteStream, target: Target, *, user: str, password: str) -> ByteStream:
    """Have the proxy at the other end of `stream` open a tunnel; what is given is that tunnel, from its first byte.

    Raises what the proxy refused it with, and StreamBroken. The caller bounds the time.
    """
    request = ConnectRequest(target, user=user, password=password)
    await stream.write(request.data)
    while not request.receive(await stream.read()):
        pass
    tunnel = ReadAhead(stream)
    tunnel.keep(request.rest)
    return tunnel.plain
