"""Checks CONNECT through an HTTP port as conversations: targets, credentials, and heads that are refused."""

from __future__ import annotations

from base64 import b64encode
from typing import NoReturn

import pytest

from edge_wire.errors import (
    EdgeError,
    NodeNotFound,
    NodeOffline,
    TargetDenied,
    TargetInvalid,
    TargetNotResolved,
    TargetRefused,
    TargetTimedOut,
    TunnelLimitReached,
)
from edge_wire.targets import Target
from tests.support.proxy_clients import (
    CONNECT,
    CONNECT_GW,
    CONNECT_OPEN,
    ESTABLISHED,
    GET,
    SOCKS4_REQUEST,
    SOCKS_REQUEST,
    Port,
    answers_to,
    any_port,
    basic,
    dialled,
    head_of,
    http_port,
    served,
    socks5_port,
)
from tests.support.proxy_gates import MemoryGate


async def test_connect_through_the_route_of_the_user_to_the_target() -> None:
    gate = MemoryGate(passwords={"gw-01": "secret"})
    async with served(http_port, gate) as client:
        await client.write(CONNECT_GW + b"early")
        target = await dialled(gate)
        assert (target.route, target.target) == ("gw-01", "printer.lan:9100")
        assert await client.read_exactly(len(ESTABLISHED)) == ESTABLISHED
        await client.write(b" and late")
        assert await target.stream.read_exactly(14) == b"early and late"
        await client.close_write()
        await target.stream.write(b"more after the client's end")
        await target.stream.close_write()
        assert await client.read_all() == b"more after the client's end"
    assert target.is_closed


@pytest.mark.parametrize(
    ("authority", "target"),
    [
        (b"[fd00::1]:443", "[fd00::1]:443"),
        (b"10.0.0.5:80", "10.0.0.5:80"),
        (b"Printer.LAN.:1", "printer.lan:1"),
        (b"2130706433:80", "127.0.0.1:80"),
    ],
)
async def test_connect_reads_every_form_of_authority(authority: bytes, target: str) -> None:
    gate = MemoryGate()
    async with served(http_port, gate) as client:
        await client.write(b"CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n" % authority)
        found = await dialled(gate)
        assert found.target == target
        await found.stream.close_write()


@pytest.mark.parametrize(
    "authority",
    [
        b"printer.lan",
        b"printer.lan:",
        b"printer.lan:0",
        b"printer.lan:65536",
        b"printer.lan:99999999999999999999",
        b"printer.lan:http",
        b"printer.lan:+80",
        b":80",
        b"80",
        b"::1:80",
        b"[::1]",
        b"[::1:80",
        b"[]:80",
        b"user@printer.lan:80",
        b"user:password@printer.lan:80",
        b"http://printer.lan:80/",
        b"/",
        b"*",
        b"printer..lan:80",
        b"printer%2elan:80",
        b"[fe80::1%25eth0]:80",
    ],
)
async def test_connect_to_what_is_no_host_and_port_is_refused(authority: bytes) -> None:
    gate = MemoryGate()
    answer = await answers_to(http_port, gate, b"CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n" % authority)
    status, headers = head_of(answer)
    assert (status, headers[b"edge-error"]) == (400, b"target_invalid")
    assert gate.openings == 0


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (TargetRefused(), 502),
        (TargetNotResolved(), 502),
        (TargetTimedOut(), 504),
        (TargetDenied(), 403),
        (NodeNotFound(), 404),
        (NodeOffline(), 503),
        (TunnelLimitReached(), 503),
    ],
)
async def test_a_connect_that_fails_is_told_with_its_code_and_the_connection_goes_on(
    failure: EdgeError, status: int
) -> None:
    gate = MemoryGate(failures={"printer.lan:9100": failure})
    async with served(http_port, gate) as client:
        for _ in range(2):
            await client.write(CONNECT_OPEN)
            found, headers = head_of(await client.read_until(b"\r\n\r\n"))
            assert (found, headers[b"edge-error"]) == (status, failure.code.encode())
            assert b"connection" not in headers
            body = await client.read_exactly(int(headers[b"content-length"]))
            assert body.decode() == f"{failure.message}\n"


async def test_an_error_is_one_line_that_cannot_become_a_header() -> None:
    failure = TargetRefused("evil\r\nSet-Cookie: a=b\x1b[31m", hint="try\nagain")
    gate = MemoryGate(failures={"printer.lan:9100": failure})
    _, _, body = (await answers_to(http_port, gate, CONNECT_OPEN)).partition(b"\r\n\r\n")
    assert body == b"evil\\r\\nSet-Cookie: a=b\\x1b[31m (try\\nagain)\n"


async def test_bytes_behind_a_connect_that_failed_are_never_read_as_a_request() -> None:
    gate = MemoryGate(failures={"printer.lan:9100": TargetRefused()})
    answer = await answers_to(http_port, gate, CONNECT_OPEN + b"CONNECT other.lan:80 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert head_of(answer)[1][b"connection"] == b"close"
    assert gate.openings == 1


async def test_who_brings_no_password_is_asked_for_one_and_may_bring_it_on_the_same_connection() -> None:
    gate = MemoryGate(passwords={"gw-01": "secret"})
    async with served(http_port, gate) as client:
        await client.write(CONNECT_OPEN)
        status, headers = head_of(await client.read_until(b"\r\n\r\n"))
        assert (status, headers[b"proxy-authenticate"]) == (407, b'Basic realm="edge"')
        assert b"connection" not in headers
        await client.read_exactly(int(headers[b"content-length"]))
        await client.write(CONNECT_GW)
        assert await client.read_exactly(len(ESTABLISHED)) == ESTABLISHED
        await (await dialled(gate)).stream.close_write()


@pytest.mark.parametrize(
    "header",
    [
        basic("gw-01", "wrong"),
        basic("gw-02", "secret"),
        basic("", ""),
        b"Proxy-Authorization: Basic\r\n",
        b"Proxy-Authorization: Basic ???\r\n",
        b"Proxy-Authorization: Basic Z3ct MDE6c2VjcmV0\r\n",
        b"Proxy-Authorization: Basic Z3ctMDE6c2VjcmV0Cg\r\n",
        b"Proxy-Authorization: Basic " + b64encode(b"no colon") + b"\r\n",
        b"Proxy-Authorization: Basic " + b64encode(b"gw-01:\xff") + b"\r\n",
        b"Proxy-Authorization: Bearer Z3ctMDE6c2VjcmV0\r\n",
        b"Proxy-Authorization: Z3ctMDE6c2VjcmV0\r\n",
        basic("gw-01", "secret") * 2,
        b"Authorization: Basic " + b64encode(b"gw-01:secret") + b"\r\n",
    ],
)
async def test_credentials_that_are_wrong_or_none_are_asked_for_again(header: bytes) -> None:
    gate = MemoryGate(passwords={"gw-01": "secret"})
    status, headers = head_of(await answers_to(http_port, gate, CONNECT % header))
    assert (status, headers[b"edge-error"]) == (407, b"unauthenticated")
    assert gate.openings == 0


async def test_credentials_are_utf_8_and_a_password_may_have_colons() -> None:
    gate = MemoryGate(passwords={"é": "a:b:ü"})
    async with served(http_port, gate) as client:
        await client.write(CONNECT % basic("é", "a:b:ü").replace(b"Basic", b"bAsIc"))
        await (await dialled(gate)).stream.close_write()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"garbage\r\n\r\n", 400),
        (b"CONNECT printer.lan:80 HTTP/1.1\nHost: x\n\n", 400),
        (b"\x16\x03\x01", 400),
        (b"CONNECT printer.lan:80 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", 400),
        (b"CONNECT printer.lan:80 HTTP/1.1\r\nHost: x\r\n" + b"X: %s\r\n" % (b"x" * 1000) * 1000, 431),
        (b"CONNECT printer.lan:80 HTTP/1.1\r\nHost: x\r\nVia: 1.0 a, 1.1 Edge-Test (b)\r\n\r\n", 508),
        (b"TRACE http://printer.lan/ HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    ],
    ids=lambda value: ascii(value)[:40],
)
async def test_a_request_that_no_proxy_serves_is_answered_and_ends_the_connection(
    request_bytes: bytes, status: int
) -> None:
    gate = MemoryGate()
    answer = await answers_to(http_port, gate, request_bytes)
    found, headers = head_of(answer)
    assert (found, headers[b"connection"]) == (status, b"close")
    assert answer.endswith(b"\r\n\r\n" + answer[-int(headers[b"content-length"]) :])
    assert gate.openings == 0


async def test_a_via_that_only_looks_like_ours_passes() -> None:
    gate = MemoryGate()
    async with served(http_port, gate) as client:
        await client.write(CONNECT % b"Via: 1.1 edge-test-2, edge-test\r\n")
        await (await dialled(gate)).stream.close_write()


@pytest.mark.parametrize(
    ("port", "request_bytes", "answer"),
    [
        (http_port, CONNECT_OPEN, b"HTTP/1.1 400 "),
        (http_port, GET % b"", b"HTTP/1.1 400 "),
        (socks5_port, b"\5\1\0" + SOCKS_REQUEST, b"\5\0\5\1\0\1"),
        (any_port, SOCKS4_REQUEST, b"\0\x5b"),
    ],
    ids=["connect", "get", "socks5", "socks4"],
)
async def test_a_gate_may_refuse_a_target_before_it_dials(port: Port, request_bytes: bytes, answer: bytes) -> None:
    class Choosy(MemoryGate):
        def open(self, route: str, target: Target) -> NoReturn:
            raise TargetInvalid("no node")

    assert (await answers_to(port, Choosy(), request_bytes)).startswith(answer)
