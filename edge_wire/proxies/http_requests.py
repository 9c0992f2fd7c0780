"""What a request to an HTTP proxy asks for: a target, and by whose credentials. Pure, from what h11 read.

CONNECT names its target as `host:port` (RFC 9110, section 9.3.6), every other method by an absolute `http://` URI
(RFC 9112, section 3.2.2). How requests and responses are passed on is in `edge_wire.proxies.http_forwarding`.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

import h11

from edge_wire.errors import TargetInvalid, Unauthenticated
from edge_wire.names import quoted
from edge_wire.proxies.http_answers import Refusal
from edge_wire.targets import Target, parse_destination, parse_target

ALLOWED = (b"Allow", b"CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
"""Told to who asks what is allowed; other methods but TRACE pass as well."""

_HTTP_PORT = 80
_NEITHER_FORM = "a proxy takes CONNECT host:port, or http://host/ as the whole URI"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Who asks, by RFC 7617."""

    user: str
    password: str = field(repr=False)


NOBODY = Credentials(user="", password="")


@dataclass(frozen=True, kw_only=True)
class Resource:
    """What a request names."""

    target: Target
    authority: str
    """The value for `Host`, as the client spelled it."""
    path: str
    """The request target for the origin: path and query, untouched; "" for CONNECT."""


def read_credentials(request: h11.Request, *, needs_password: bool) -> Credentials:
    """The credentials of the request, or raise Unauthenticated."""
    found = [value for name, value in request.headers if name == b"proxy-authorization"]
    if not found and not needs_password:
        return NOBODY
    if not found:
        raise Unauthenticated("the proxy needs a user name and a password")
    scheme, _, encoded = found[0].partition(b" ")
    if len(found) > 1 or scheme.lower() != b"basic":
        raise Unauthenticated("the proxy takes one Proxy-Authorization, of the scheme Basic")
    try:
        user, colon, password = binascii.a2b_base64(encoded.strip(), strict_mode=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = user = password = ""
    if not colon:
        raise Unauthenticated("the Proxy-Authorization is not a user name and a password in UTF-8 and base64")
    return Credentials(user=user, password=password)


def read_resource(request: h11.Request) -> Resource:
    """What the request names; raises Refusal or TargetInvalid."""
    uri = request.target.decode("ascii")
    if request.method == b"CONNECT":
        return Resource(target=_target_of_connect(uri), authority=uri, path="")
    scheme, separator, rest = uri.partition("://")
    if not separator or "/" in scheme:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"{quoted(uri)} is not an absolute URI", hint=_NEITHER_FORM)
    if scheme.lower() != "http":
        hint = "ask for https:// through CONNECT, as clients do for an HTTP proxy"
        raise Refusal(HTTPStatus.BAD_REQUEST, f"the scheme {quoted(scheme)} is not passed on", hint=hint)
    if "#" in rest:
        raise Refusal(HTTPStatus.BAD_REQUEST, "the URI has a fragment, which never leaves a client")
    ends = [rest.find(mark) for mark in "/?" if mark in rest]
    authority = rest[: min(ends, default=len(rest))]
    path = rest[len(authority) :]
    if not path and request.method == b"OPTIONS":
        path = "*"  # RFC 9112, section 3.2.4
    elif not path.startswith("/"):
        path = f"/{path}"
    return Resource(target=_target_of(authority), authority=authority, path=path)


def check_loop(request: h11.Request, *, pseudonym: str) -> None:
    """Raise Refusal when the request passed here before."""
    if pseudonym.lower() in (entry.lower() for entry in _passed_by(request)):
        raise Refusal(HTTPStatus.LOOP_DETECTED, "the request has passed this proxy before")


def check_method(request: h11.Request) -> None:
    """Raise Refusal for what is not passed on."""
    if request.method == b"TRACE":  # it would show the client what proxies add, and is of no use here
        raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "TRACE is not passed on", headers=[ALLOWED])


def _target_of_connect(authority: str) -> Target:
    target = parse_destination(authority)
    if target.is_self:
        raise TargetInvalid(f"{quoted(authority)} has no host", hint="write HOST:PORT or [IPV6]:PORT")
    return target


def _target_of(authority: str) -> Target:
    if "@" in authority:
        raise TargetInvalid("the URI has a user name", hint="send it as an Authorization header")
    if not authority.endswith("]") and ":" in authority:
        host, _, port = authority.rpartition(":")
        if port:
            return parse_destination(authority) if host else parse_target(host, _HTTP_PORT)
        authority = host
    return parse_target(authority, _HTTP_PORT)


def _passed_by(request: h11.Request) -> Iterator[str]:
    """The pseudonyms and hosts in `Via` (RFC 9110, section 7.6.3)."""
    for name, value in request.headers:
        if name == b"via":
            for entry in value.decode("latin-1").split(","):
                protocol_and_host = entry.split()
                yield from protocol_and_host[1:2]
