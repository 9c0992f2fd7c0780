"""Checks the SOCKS4 and SOCKS4a handshake byte by byte, without a connection."""

from __future__ import annotations

import pytest

from edge_wire.proxies.socks4 import Connect, Refuse, Socks4Handshake, granted, rejected, rejected_user

TO_ADDRESS = b"\4\1\0\x50\x0a\0\0\5gw-01\0"
TO_NAME = b"\4\1\x23\x8c\0\0\0\1gw-01\0printer.lan\0"


def event_of(*chunks: bytes) -> tuple[Connect | Refuse | None, bytes]:
    """What a client that sends this asks for, and what is left over."""
    handshake = Socks4Handshake()
    event = None
    for chunk in chunks:
        handshake.receive(chunk)
        event = event or handshake.next_event()
    return event, handshake.rest


def test_an_address() -> None:
    assert event_of(TO_ADDRESS + b"early") == (Connect(user="gw-01", host="10.0.0.5", port=80), b"early")


def test_a_name() -> None:
    assert event_of(TO_NAME + b"early") == (Connect(user="gw-01", host="printer.lan", port=9100), b"early")


def test_0_0_0_0_is_an_address_and_no_name() -> None:
    assert event_of(b"\4\1\0\x50\0\0\0\0\0")[0] == Connect(user="", host="0.0.0.0", port=80)


@pytest.mark.parametrize("whole", [TO_ADDRESS, TO_NAME])
def test_a_handshake_split_anywhere_is_the_same(whole: bytes) -> None:
    expected = event_of(whole + b"early")
    for at in range(1, len(whole)):
        assert event_of(whole[:at], whole[at:] + b"early") == expected
    assert event_of(*(whole[at : at + 1] for at in range(len(whole))))[0] == expected[0]


@pytest.mark.parametrize("whole", [TO_ADDRESS, TO_NAME])
def test_a_handshake_that_stops_anywhere_waits(whole: bytes) -> None:
    for size in range(len(whole)):
        assert event_of(whole[:size])[0] is None


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\4\2\0\x50\x0a\0\0\5\0",
        b"\4\0\0\x50\x0a\0\0\5\0",
        b"\4\1\0\x50\x0a\0\0\5" + b"u" * 256,
        b"\4\1\0\x50\0\0\0\1\0" + b"n" * 256,
    ],
)
def test_what_is_no_connect_or_never_ends_is_rejected(request_bytes: bytes) -> None:
    assert event_of(request_bytes)[0] == Refuse(rejected())
    assert event_of(*(request_bytes[at : at + 1] for at in range(len(request_bytes))))[0] == Refuse(rejected())


def test_texts_of_255_bytes_are_read() -> None:
    event, _ = event_of(b"\4\1\0\x50\0\0\0\1" + b"u" * 255 + b"\0" + b"n" * 255 + b"\0")
    assert event == Connect(user="u" * 255, host="n" * 255, port=80)


def test_a_user_that_is_no_text_is_not_admitted() -> None:
    assert event_of(b"\4\1\0\x50\x0a\0\0\5\xff\0")[0] == Refuse(rejected_user())


def test_another_protocol_gets_no_answer() -> None:
    assert event_of(b"\5")[0] == Refuse(b"")


def test_answers() -> None:
    assert (granted(), rejected(), rejected_user()) == (
        b"\0\x5a" + bytes(6),
        b"\0\x5b" + bytes(6),
        b"\0\x5d" + bytes(6),
    )
