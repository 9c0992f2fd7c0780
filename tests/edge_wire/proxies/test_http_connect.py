"""Checks the client's half of CONNECT: against bytes, and against a port of ours."""

from __future__ import annotations

import pytest

from edge_wire.errors import (
    EdgeError,
    Internal,
    InvalidValue,
    NodeOffline,
    StreamBroken,
    TargetDenied,
    TargetInvalid,
    TargetRefused,
    TargetTimedOut,
    Unauthenticated,
    Unavailable,
)
from edge_wire.proxies.http_connect import ConnectRequest, reach_through
from edge_wire.targets import Target, parse_destination
from tests.support.byte_streams import stream_pair
from tests.support.proxy_clients import dialled, http_port, served
from tests.support.proxy_gates import MemoryGate

PRINTER = parse_destination("printer.lan:9100")
OPENED = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 other\r\n\r\n"
REFUSED = b"HTTP/1.1 403 Forbidden\r\nEdge-Error: target_denied\r\nContent-Length: 10\r\n\r\nnot there\n"


def connect() -> ConnectRequest:
    return ConnectRequest(PRINTER, user="gw-01", password="secret")


def test_what_is_sent() -> None:
    assert connect().data == (
        b"CONNECT printer.lan:9100 HTTP/1.1\r\nHost: printer.lan:9100\r\n"
        b"Proxy-Authorization: Basic Z3ctMDE6c2VjcmV0\r\n\r\n"
    )


def test_an_ipv6_address_is_sent_in_brackets() -> None:
    data = ConnectRequest(parse_destination("[fd00::1]:80"), user="", password="").data
    assert data.startswith(b"CONNECT [fd00::1]:80 HTTP/1.1\r\nHost: [fd00::1]:80\r\n")


def test_what_cannot_be_asked_for() -> None:
    with pytest.raises(TargetInvalid):
        ConnectRequest(Target(host="", port=80, address=None), user="", password="")
    with pytest.raises(InvalidValue):
        ConnectRequest(PRINTER, user="a:b", password="")


@pytest.mark.parametrize("at", range(1, len(OPENED)))
def test_an_answer_split_anywhere_opens_the_tunnel(at: int) -> None:
    request = connect()
    assert request.receive(OPENED[:at]) is False
    assert request.receive(OPENED[at:] + b"first bytes") is True
    assert request.rest == b"first bytes"


def test_an_interim_answer_is_passed_over() -> None:
    assert connect().receive(b"HTTP/1.1 100 Continue\r\n\r\n" + OPENED) is True


@pytest.mark.parametrize("at", range(1, len(REFUSED)))
def test_a_refusal_split_anywhere_is_raised_as_what_it_was(at: int) -> None:
    request = connect()
    assert request.receive(REFUSED[:at]) is False
    with pytest.raises(TargetDenied, match=r"^not there$"):
        request.receive(REFUSED[at:])


@pytest.mark.parametrize("size", range(len(OPENED)))
def test_an_answer_that_ends_early_is_a_broken_stream(size: int) -> None:
    request = connect()
    if size:
        assert request.receive(OPENED[:size]) is False
    with pytest.raises(StreamBroken):
        request.receive(b"")


@pytest.mark.parametrize(
    "answer", [b"garbage\r\n\r\n", b"\x05\x00\x00\x01", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000]
)
def test_what_is_no_answer_is_a_broken_stream(answer: bytes) -> None:
    with pytest.raises(StreamBroken):
        connect().receive(answer)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 407 Please\r\nContent-Length: 0\r\n\r\n", Unauthenticated),
        (b"HTTP/1.0 403 Forbidden\r\n\r\n<html>", Unavailable),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", Unavailable),
        (b"HTTP/1.1 503 No\r\nEdge-Error: of_a_newer_proxy\r\nContent-Length: 0\r\n\r\n", Internal),
        (b"HTTP/1.1 502 No\r\nEdge-Error: target_refused\r\nContent-Length: 99\r\n\r\ncut", TargetRefused),
    ],
)
def test_refusals_of_other_proxies_and_cut_ones(answer: bytes, error: type[EdgeError]) -> None:
    def hear(request: ConnectRequest) -> None:
        request.receive(answer)
        request.receive(b"")

    with pytest.raises(error):
        hear(connect())


def test_the_text_of_a_refusal_is_bounded_and_made_printable() -> None:
    request = connect()
    with pytest.raises(TargetRefused) as raised:
        request.receive(b"HTTP/1.1 502 No\r\nEdge-Error: target_refused\r\n\r\n\x1b[31m" + b"x" * 50_000)
    assert raised.value.message.startswith("\\x1b[31mxxx")
    assert len(raised.value.message) < 5000


async def test_a_tunnel_through_a_port_of_ours_from_its_first_byte() -> None:
    gate = MemoryGate(passwords={"gw-01": "secret"})
    async with served(http_port, gate) as stream:
        tunnel = await reach_through(stream, PRINTER, user="gw-01", password="secret")
        target = await dialled(gate)
        assert (target.route, target.target) == ("gw-01", "printer.lan:9100")
        await target.stream.write(b"hello")
        assert await tunnel.read() == b"hello"
        await tunnel.write(b"answer")
        assert await target.stream.read_exactly(6) == b"answer"
        await target.stream.close_write()


async def test_bytes_right_behind_the_answer_are_the_tunnels_first() -> None:
    client, proxy = stream_pair()
    await proxy.write(OPENED + b"220 ready")
    tunnel = await reach_through(client, PRINTER, user="gw-01", password="secret")
    assert await tunnel.read() == b"220 ready"


@pytest.mark.parametrize(
    "failure", [TargetRefused("no such printer"), TargetDenied(), TargetTimedOut(), NodeOffline("gw-01 is offline")]
)
async def test_an_error_crosses_a_port_of_ours_as_itself(failure: EdgeError) -> None:
    async with served(http_port, MemoryGate(failures={"printer.lan:9100": failure})) as stream:
        with pytest.raises(type(failure), match=failure.message):
            await reach_through(stream, PRINTER, user="gw-01", password="secret")


async def test_a_wrong_password_crosses_a_port_of_ours_as_itself() -> None:
    async with served(http_port, MemoryGate(passwords={})) as stream:
        with pytest.raises(Unauthenticated):
            await reach_through(stream, PRINTER, user="gw-01", password="secret")
