"""Checks that every error has an answer of a proxy, and that the tables say what clients rely on."""

from __future__ import annotations

import pytest

from edge_wire import errors
from edge_wire.errors import BY_CODE, EdgeError
from edge_wire.proxies.error_answers import Socks5Reply, http_status, socks5_reply
from edge_wire.proxies.http_answers import answer_to


@pytest.mark.parametrize("kind", [EdgeError, *BY_CODE.values()], ids=lambda kind: kind.code)
def test_every_error_has_an_answer_with_its_code(kind: type[EdgeError]) -> None:
    answer = answer_to(kind())
    assert 400 <= answer.status < 600
    assert (b"Edge-Error", kind.code.encode("ascii")) in answer.headers
    assert socks5_reply(kind()) is not Socks5Reply.SUCCEEDED


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.Unauthenticated, 407),
        (errors.CredentialExpired, 407),
        (errors.TooManyAttempts, 429),
        (errors.TargetInvalid, 400),
        (errors.NodeAmbiguous, 400),
        (errors.TargetDenied, 403),
        (errors.ScopeDenied, 403),
        (errors.Denied, 403),
        (errors.NodeNotFound, 404),
        (errors.TargetRefused, 502),
        (errors.TargetUnreachable, 502),
        (errors.TargetNotResolved, 502),
        (errors.StreamBroken, 502),
        (errors.TargetTimedOut, 504),
        (errors.DeadlineExceeded, 504),
        (errors.TunnelIdle, 504),
        (errors.NodeOffline, 503),
        (errors.TunnelLimitReached, 503),
        (errors.NodeOnOtherAdmin, 503),
        (errors.ShuttingDown, 503),
        (errors.Internal, 500),
    ],
)
def test_the_status_of_an_error(kind: type[EdgeError], status: int) -> None:
    assert http_status(kind()) == status


def test_only_a_missing_login_is_asked_for() -> None:
    assert any(name == b"Proxy-Authenticate" for name, _ in answer_to(errors.Unauthenticated()).headers)
    assert not any(name == b"Proxy-Authenticate" for name, _ in answer_to(errors.Denied()).headers)
