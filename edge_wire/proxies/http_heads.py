"""The head of a request: found in the stream, bounded, and read by h11 after what h11 is lenient about was refused.

What two parsers could read differently (RFC 9112, section 11.2) is refused here and never repaired: bare line ends,
folded lines, control characters, more than one length of a body.
"""

from __future__ import annotations

import re
from http import HTTPStatus

import h11

from edge_wire.proxies.http_answers import Refusal

HEAD_LIMIT = 64 * 1024
"""Bytes of a head with the empty line behind it."""

_END = b"\r\n\r\n"
_AMBIGUOUS = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\r\n[ \t]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CONTENT_LENGTH = re.compile(rb"\ncontent-length:([^\r]*)", re.IGNORECASE)


class HeadCollector:
    """Collects one head from bytes that are split anywhere."""

    def __init__(self, data: bytes = b"") -> None:
        self._buffer = bytearray(data)
        self._looked_at = 0
        self.taken = b""
        """The whole head with its empty line, once it was found."""

    def receive(self, data: bytes) -> None:
        """Take what came."""
        self._buffer += data

    @property
    def is_empty(self) -> bool:
        """Whether no part of a head is here."""
        return not self._buffer

    @property
    def rest(self) -> bytes:
        """What came behind the head that was taken."""
        return bytes(self._buffer)

    def find(self) -> bool:
        """Whether the head is whole, in `taken` then; raises Refusal as soon as it can only be bad."""
        while self._looked_at == 0 and self._buffer.startswith(b"\r\n"):  # RFC 9112, section 2.2
            del self._buffer[:2]
        if self._buffer == b"\r":
            return False
        start = max(0, self._looked_at - len(_END))
        found = self._buffer.find(_END, start, HEAD_LIMIT)
        limit = HEAD_LIMIT if found < 0 else found + len(_END)
        if _AMBIGUOUS.search(self._buffer, start, limit):
            raise Refusal(
                HTTPStatus.BAD_REQUEST,
                "the head of the request has a control character, a bare line end or a folded line",
                hint="this port speaks HTTP/1.1 without TLS inside",
            )
        if found < 0:
            self._looked_at = len(self._buffer)
            if len(self._buffer) >= HEAD_LIMIT:
                raise Refusal(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    f"the head of the request is longer than {HEAD_LIMIT} bytes",
                )
            return False
        self.taken = bytes(self._buffer[:limit])
        del self._buffer[:limit]
        return True


def read_request(connection: h11.Connection, head: bytes) -> h11.Request:
    """Read a whole head with a fresh h11 connection, or raise Refusal."""
    connection.receive_data(head)
    try:
        request = connection.next_event()
    except h11.RemoteProtocolError as error:
        # what h11 says behind the colon repeats the client's bytes
        why = str(error).partition(":")[0]
        raise Refusal(HTTPStatus(error.error_status_hint), f"the request is malformed: {why}") from None
    assert isinstance(request, h11.Request)
    if request.http_version not in {b"1.0", b"1.1"}:
        raise Refusal(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "this port speaks HTTP/1.1 and HTTP/1.0")
    return request


def check_framing(request: h11.Request, head: bytes) -> None:
    """Raise Refusal when two parsers could see different ends of the request."""
    lengths = _CONTENT_LENGTH.findall(head)
    is_chunked = any(name == b"transfer-encoding" for name, _ in request.headers)
    if len(lengths) > 1 or any(b"," in length for length in lengths):
        raise Refusal(HTTPStatus.BAD_REQUEST, "the request has more than one Content-Length")
    if is_chunked and lengths:
        raise Refusal(HTTPStatus.BAD_REQUEST, "the request has both a Content-Length and a Transfer-Encoding")
    if is_chunked and request.http_version == b"1.0":
        raise Refusal(HTTPStatus.BAD_REQUEST, "the request has a Transfer-Encoding, which HTTP/1.0 does not know")
    if request.method == b"CONNECT" and (is_chunked or any(int(length) for length in lengths)):
        raise Refusal(HTTPStatus.BAD_REQUEST, "a CONNECT has no body")
