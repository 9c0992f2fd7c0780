"""How a proxy rewrites what it passes on: requests for the origin, responses for the client. Pure.

Headers that are meant for one connection only end here (RFC 9110, section 7.6.1), and so do trailers; lengths of bodies
are kept, chunks are cut anew.
"""

from __future__ import annotations

from http import HTTPStatus

import h11

from edge_wire.proxies.http_answers import Refusal
from edge_wire.proxies.http_requests import Resource

Message = h11.Request | h11.Response | h11.InformationalResponse
Headers = list[tuple[bytes, bytes]]

_HOP_BY_HOP = {
    b"connection",
    b"http2-settings",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authentication-info",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}
_NEVER_LISTED = {b"content-length", b"host"}
"""What `Connection` must not take out: the message would become another one."""
_CHUNKED = (b"Transfer-Encoding", b"chunked")
_UPGRADED_BY_ITSELF = b"h2c"
"""Withdrawn by RFC 9113, and needs a header that a proxy has to take out."""


def request_for_origin(request: h11.Request, resource: Resource, *, pseudonym: str) -> h11.Request:
    """The request as the origin gets it. One that may go no further is none for it."""
    left = forwards_left(request)
    rewritten = {b"host"} if left is None else {b"host", b"max-forwards"}
    headers = [(b"Host", resource.authority.encode("ascii"))]
    headers += [(name, value) for name, value in _end_to_end(request) if name.lower() not in rewritten]
    if left is not None:
        headers.append((b"Max-Forwards", b"%d" % (left - 1)))
    if _is_chunked(request):
        headers.append(_CHUNKED)
    headers.append(_via(request.http_version, pseudonym))
    headers += _upgrade_of(request)
    return h11.Request(method=request.method, target=resource.path.encode("ascii"), headers=headers)


def response_for_client(response: h11.Response, *, pseudonym: str) -> h11.Response:
    """The response as the client gets it; h11 frames its body for the client's version of HTTP."""
    headers = _end_to_end(response)
    if _is_chunked(response):  # and then a length is none (RFC 9112, section 6.3)
        headers = [pair for pair in headers if pair[0].lower() != b"content-length"]
    headers.append(_via(response.http_version, pseudonym))
    return h11.Response(status_code=response.status_code, headers=headers, reason=response.reason)


def interim_for_client(response: h11.InformationalResponse, *, pseudonym: str) -> h11.InformationalResponse:
    """As `response_for_client`, for a response that announces another one or, as 101, a switch of protocols."""
    headers = [*_end_to_end(response), _via(response.http_version, pseudonym)]
    if response.status_code == 101:
        upgrade = [(b"Upgrade", value) for name, value in response.headers if name == b"upgrade"]
        headers += [(b"Connection", b"Upgrade"), *upgrade]
    return h11.InformationalResponse(status_code=response.status_code, headers=headers, reason=response.reason)


def forwards_left(request: h11.Request) -> int | None:
    """`Max-Forwards` where it has a meaning (RFC 9110, section 7.6.2), or raise Refusal when it is no number."""
    values = [value for name, value in request.headers if name == b"max-forwards"]
    if request.method != b"OPTIONS" or not values:
        return None
    if len(values) > 1 or not values[0].isdigit() or len(values[0]) > 9:
        raise Refusal(HTTPStatus.BAD_REQUEST, "Max-Forwards is no number")
    return int(values[0])


def _is_chunked(message: Message) -> bool:
    return any(name == b"transfer-encoding" for name, _ in message.headers)


def _end_to_end(message: Message) -> Headers:
    ended = _HOP_BY_HOP | (set(_tokens(message, b"connection")) - _NEVER_LISTED)
    return [(name, value) for name, value in message.headers.raw_items() if name.lower() not in ended]


def _upgrade_of(request: h11.Request) -> Headers:
    protocols = [value for name, value in request.headers if name == b"upgrade"]
    is_meant = request.http_version == b"1.1" and b"upgrade" in _tokens(request, b"connection")
    if not protocols or not is_meant or _UPGRADED_BY_ITSELF in _tokens(request, b"upgrade"):
        return []
    return [(b"Connection", b"Upgrade"), *((b"Upgrade", protocol) for protocol in protocols)]


def _tokens(message: Message, name: bytes) -> list[bytes]:
    values = (value for found, value in message.headers if found == name)
    return [token.strip().lower() for value in values for token in value.split(b",")]


def _via(version: bytes, pseudonym: str) -> tuple[bytes, bytes]:
    return b"Via", version + b" " + pseudonym.encode("ascii")
