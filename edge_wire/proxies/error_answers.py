"""What a proxy answers for an EdgeError: the HTTP status and the SOCKS reply of each class, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from http import HTTPStatus

from edge_wire import errors
from edge_wire.errors import EdgeError


class Socks5Reply(IntEnum):
    """REP of RFC 1928, section 6."""

    SUCCEEDED = 0
    GENERAL_FAILURE = 1
    NOT_ALLOWED = 2
    HOST_UNREACHABLE = 4
    REFUSED = 5
    TTL_EXPIRED = 6
    COMMAND_NOT_SUPPORTED = 7
    ADDRESS_TYPE_NOT_SUPPORTED = 8


HTTP_STATUSES: Mapping[type[EdgeError], HTTPStatus] = {
    EdgeError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.InvalidValue: HTTPStatus.BAD_REQUEST,
    errors.FrameInvalid: HTTPStatus.BAD_GATEWAY,
    errors.MessageTooLarge: HTTPStatus.BAD_GATEWAY,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Unauthenticated: HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
    errors.Denied: HTTPStatus.FORBIDDEN,
    errors.NodeOffline: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.NoContact: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StreamBroken: HTTPStatus.BAD_GATEWAY,
    errors.TooManyAttempts: HTTPStatus.TOO_MANY_REQUESTS,
    errors.TargetUnreachable: HTTPStatus.BAD_GATEWAY,
    errors.TargetTimedOut: HTTPStatus.GATEWAY_TIMEOUT,
    errors.DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
    errors.TunnelIdle: HTTPStatus.GATEWAY_TIMEOUT,
    errors.TunnelTooOld: HTTPStatus.GATEWAY_TIMEOUT,
}
"""By class; a class that is not here answers as its nearest parent."""

SOCKS5_REPLIES: Mapping[type[EdgeError], Socks5Reply] = {
    EdgeError: Socks5Reply.GENERAL_FAILURE,
    errors.Denied: Socks5Reply.NOT_ALLOWED,
    errors.TargetUnreachable: Socks5Reply.HOST_UNREACHABLE,
    errors.TargetRefused: Socks5Reply.REFUSED,
    errors.TargetTimedOut: Socks5Reply.TTL_EXPIRED,
    errors.DeadlineExceeded: Socks5Reply.TTL_EXPIRED,
}
"""As HTTP_STATUSES. SOCKS4 knows only "rejected"."""


def http_status(error: EdgeError) -> HTTPStatus:
    """The status of the answer."""
    return next(HTTP_STATUSES[kind] for kind in type(error).__mro__ if kind in HTTP_STATUSES)


def socks5_reply(error: EdgeError) -> Socks5Reply:
    """The reply to the request."""
    return next(SOCKS5_REPLIES[kind] for kind in type(error).__mro__ if kind in SOCKS5_REPLIES)
