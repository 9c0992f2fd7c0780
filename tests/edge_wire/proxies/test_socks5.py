"""Checks the SOCKS5 handshake byte by byte, without a connection."""

from __future__ import annotations

import pytest

from edge_wire.errors import (
    Denied,
    EdgeError,
    NodeOffline,
    ScopeDenied,
    TargetDenied,
    TargetInvalid,
    TargetNotResolved,
    TargetRefused,
    TargetTimedOut,
    TargetUnreachable,
)
from edge_wire.proxies import socks5
from edge_wire.proxies.socks5 import (
    Connect,
    Event,
    Login,
    Refuse,
    Send,
    Socks5Handshake,
    connected,
    failed,
    login_accepted,
)

GREETING = b"\5\1\2"
LOGIN = b"\1\5gw-01\6secret"
TO_NAME = b"\5\1\0\3\x0bprinter.lan\x23\x8c"
TO_IPV4 = b"\5\1\0\1\x0a\0\0\5\0\x50"
TO_IPV6 = b"\5\1\0\4\xfd" + bytes(14) + b"\1\1\xbb"
WITH_LOGIN = [
    Send(b"\5\2"),
    Login(user="gw-01", password="secret", is_anonymous=False),
    Connect(host="printer.lan", port=9100),
]


def events_of(*chunks: bytes, needs_password: bool = False) -> tuple[list[Event], bytes]:
    """All events of a client that sends this, and what is left over."""
    handshake = Socks5Handshake(needs_password=needs_password)
    events: list[Event] = []
    for chunk in chunks:
        handshake.receive(chunk)
        while not _is_over(events) and (event := handshake.next_event()):
            events.append(event)
    return events, handshake.rest


def _is_over(events: list[Event]) -> bool:
    return bool(events) and isinstance(events[-1], Refuse | Connect)


def test_a_login_and_a_name() -> None:
    assert events_of(GREETING + LOGIN + TO_NAME, needs_password=True) == (WITH_LOGIN, b"")


@pytest.mark.parametrize(
    ("request_bytes", "host", "port"),
    [(TO_NAME, "printer.lan", 9100), (TO_IPV4, "10.0.0.5", 80), (TO_IPV6, "fd00::1", 443)],
)
def test_no_login_where_none_is_needed(request_bytes: bytes, host: str, port: int) -> None:
    events, rest = events_of(b"\5\1\0" + request_bytes + b"early")
    assert events == [Send(b"\5\0"), Login(user="", password="", is_anonymous=True), Connect(host=host, port=port)]
    assert rest == b"early"


def test_a_login_that_is_offered_is_asked_for_because_the_user_name_may_choose_the_route() -> None:
    assert events_of(b"\5\2\0\2")[0] == [Send(b"\5\2")]


@pytest.mark.parametrize("greeting", [b"\5\0", b"\5\1\0", b"\5\2\0\1", b"\5\1\xff"])
def test_no_method_is_left_without_a_login_where_one_is_needed(greeting: bytes) -> None:
    assert events_of(greeting, needs_password=True)[0] == [Refuse(b"\5\xff")]


@pytest.mark.parametrize("first", [0, 1, 4, 6, 22, 71, 255])
def test_another_protocol_gets_no_answer(first: int) -> None:
    assert events_of(bytes([first]))[0] == [Refuse(b"")]


@pytest.mark.parametrize("login", [b"\5", b"\0\1a\1b", b"\1\1\xff\1b", b"\1\1a\2\xc3\x28"])
def test_a_login_that_is_none_is_refused(login: bytes) -> None:
    assert events_of(GREETING + login)[0] == [Send(b"\5\2"), Refuse(b"\1\1")]


def test_a_login_is_utf_8_and_may_be_empty() -> None:
    assert events_of(GREETING + b"\1\0\0")[0][1] == Login(user="", password="", is_anonymous=False)
    assert events_of(GREETING + b"\1\2\xc3\xa9\1p")[0][1] == Login(user="é", password="p", is_anonymous=False)


def test_a_password_is_in_no_repr() -> None:
    assert "secret" not in repr(WITH_LOGIN)


@pytest.mark.parametrize(
    ("request_bytes", "reply"),
    [
        (b"\5\2\0\1\x0a\0\0\5\0\x50", 7),
        (b"\5\3\0\3\x0bprinter.lan\x23\x8c", 7),
        (b"\5\1\0\2", 8),
        (b"\5\1\0\0", 8),
        (b"\4", 1),
    ],
)
def test_what_is_not_a_connect_to_an_address_or_name_is_refused(request_bytes: bytes, reply: int) -> None:
    assert events_of(b"\5\1\0" + request_bytes)[0][-1] == Refuse(bytes([5, reply, 0, 1]) + bytes(6))


def test_a_name_of_other_bytes_becomes_no_name() -> None:
    event = events_of(b"\5\1\0" + b"\5\1\0\3\2\xc3\xa9\0\x50")[0][-1]
    assert event == Connect(host="\\xc3\\xa9", port=80)


@pytest.mark.parametrize("size", range(len(GREETING + LOGIN + TO_NAME)))
def test_a_handshake_that_stops_anywhere_waits_and_neither_fails_nor_connects(size: int) -> None:
    events, _ = events_of((GREETING + LOGIN + TO_NAME)[:size], needs_password=True)
    assert events == WITH_LOGIN[: len(events)]
    assert len(events) < len(WITH_LOGIN)


@pytest.mark.parametrize("at", range(1, len(GREETING + LOGIN + TO_NAME + b"early")))
def test_a_handshake_split_anywhere_is_the_same(at: int) -> None:
    whole = GREETING + LOGIN + TO_NAME + b"early"
    assert events_of(whole[:at], whole[at:], needs_password=True) == (WITH_LOGIN, b"early")


def test_a_handshake_byte_by_byte_is_the_same() -> None:
    whole = GREETING + LOGIN + TO_IPV6
    assert events_of(*(whole[at : at + 1] for at in range(len(whole))))[0] == [
        *WITH_LOGIN[:2],
        Connect(host="fd00::1", port=443),
    ]


@pytest.mark.parametrize(
    ("peer", "reply"),
    [
        ("10.0.0.5:80", b"\5\0\0\1\x0a\0\0\5\0\x50"),
        ("[fd00::1]:443", b"\5\0\0\4\xfd" + bytes(14) + b"\1\1\xbb"),
        ("", b"\5\0\0\1" + bytes(6)),
        ("printer.lan:80", b"\5\0\0\1" + bytes(6)),
        ("anything\r\n", b"\5\0\0\1" + bytes(6)),
        ("x" * 1_000_000, b"\5\0\0\1" + bytes(6)),
    ],
    ids=["ipv4", "ipv6", "nothing", "name", "anything", "endless"],
)
def test_success_names_the_peer_when_it_is_known(peer: str, reply: bytes) -> None:
    assert connected(peer) == reply


def test_what_a_node_says_without_end_is_not_kept() -> None:
    kept = socks5._connected.cache_info().currsize
    connected("y" * 1_000_000)
    assert socks5._connected.cache_info().currsize == kept


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (TargetRefused(), 5),
        (TargetNotResolved(), 4),
        (TargetUnreachable(), 4),
        (TargetTimedOut(), 6),
        (TargetDenied(), 2),
        (ScopeDenied(), 2),
        (Denied(), 2),
        (TargetInvalid(), 1),
        (NodeOffline(), 1),
        (EdgeError(), 1),
    ],
)
def test_a_failure_has_the_reply_that_clients_know(error: EdgeError, reply: int) -> None:
    assert failed(error) == bytes([5, reply, 0, 1]) + bytes(6)


def test_an_accepted_login() -> None:
    assert login_accepted() == b"\1\0"
