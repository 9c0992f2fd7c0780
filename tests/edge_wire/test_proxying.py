"""Checks proxy ports as conversations: a client's bytes in, ours out, targets in memory behind the gate."""

from __future__ import annotations

import asyncio
from base64 import b64encode

import pytest

from edge_wire.errors import (
    EdgeError,
    NodeNotFound,
    NodeOffline,
    StreamBroken,
    TargetDenied,
    TargetNotResolved,
    TargetRefused,
    TargetTimedOut,
    TooManyAttempts,
    TunnelLimitReached,
)
from tests.support.byte_streams import MemoryStream, stream_pair
from tests.support.eventually import eventually
from tests.support.proxy_clients import (
    IMPATIENT,
    PATIENT,
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

SOCKS_GREETING = b"\5\1\2"
SOCKS_LOGIN = b"\1\5gw-01\6secret"
SOCKS_REQUEST = b"\5\1\0\3\x0bprinter.lan\x23\x8c"
SOCKS_SUCCESS = b"\5\0\0\1\x0a\0\0\5\0\x50"
SOCKS4_REQUEST = b"\4\1\x23\x8c\0\0\0\1gw-01\0printer.lan\0"
CONNECT = b"CONNECT printer.lan:9100 HTTP/1.1\r\nHost: printer.lan:9100\r\n%s\r\n"
CONNECT_OPEN = CONNECT % b""
CONNECT_GW = CONNECT % basic("gw-01", "secret")
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


# --- SOCKS5 -----------------------------------------------------------------------------------------------------------


async def test_socks5_through_the_route_of_the_user_to_the_target() -> None:
    gate = MemoryGate(passwords={"gw-01": "secret"})
    async with served(socks5_port, gate) as client:
        await client.write(SOCKS_GREETING)
        assert await client.read_exactly(2) == b"\5\2"
        await client.write(SOCKS_LOGIN)
        assert await client.read_exactly(2) == b"\1\0"
        await client.write(SOCKS_REQUEST)
        assert await client.read_exactly(10) == SOCKS_SUCCESS
        target = await dialled(gate)
        assert (target.route, target.target) == ("gw-01", "printer.lan:9100")
        await client.write(b"question")
        assert await target.stream.read_exactly(8) == b"question"
        await target.stream.write(b"answer")
        assert await client.read_exactly(6) == b"answer"
        await client.close_write()
        assert await target.stream.read() == b""
        await target.stream.write(b"more after the client's end")
        await target.stream.close_write()
        assert await client.read_all() == b"more after the client's end"
    assert target.is_closed
    assert (target.flow.sent, target.flow.received) == (8, 33)


async def test_a_socks5_client_that_sends_everything_at_once_loses_nothing() -> None:
    gate = MemoryGate(passwords={"gw-01": "secret"})
    async with served(socks5_port, gate) as client:
        await client.write(SOCKS_GREETING + SOCKS_LOGIN + SOCKS_REQUEST + b"early")
        target = await dialled(gate)
        assert await target.stream.read_exactly(5) == b"early"
        assert await client.read_exactly(14) == b"\5\2\1\0" + SOCKS_SUCCESS
        await target.stream.close_write()
    assert target.flow.sent == 5


async def test_a_wrong_socks5_password_is_told_and_ends_the_connection() -> None:
    gate = MemoryGate(passwords={"gw-01": "other"})
    assert await answers_to(socks5_port, gate, SOCKS_GREETING, SOCKS_LOGIN, SOCKS_REQUEST) == b"\5\2\1\1"
    assert gate.openings == 0


async def test_nobody_is_admitted_as_nobody_where_no_password_is_needed() -> None:
    gate = MemoryGate()
    async with served(socks5_port, gate) as client:
        await client.write(b"\5\1\0" + SOCKS_REQUEST)
        assert await client.read_exactly(12) == b"\5\0" + SOCKS_SUCCESS
        await (await dialled(gate)).stream.close_write()
    assert gate.admitted == [("", "")]


async def test_nobody_that_is_not_admitted_is_told_so_in_the_reply_to_the_request() -> None:
    class Closed(MemoryGate):
        async def admit(self, user: str, password: str) -> str:
            raise TooManyAttempts

    assert await answers_to(socks5_port, Closed(), b"\5\1\0") == b"\5\0"
    assert await answers_to(socks5_port, Closed(), b"\5\1\0" + SOCKS_REQUEST) == b"\5\0\5\1\0\1" + bytes(6)


@pytest.mark.parametrize(
    ("failure", "reply"),
    [(TargetRefused(), 5), (TargetNotResolved(), 4), (TargetTimedOut(), 6), (TargetDenied(), 2), (NodeOffline(), 1)],
)
async def test_a_socks5_target_that_does_not_answer(failure: EdgeError, reply: int) -> None:
    gate = MemoryGate(failures={"printer.lan:9100": failure})
    answer = await answers_to(socks5_port, gate, b"\5\1\0" + SOCKS_REQUEST + b"early")
    assert answer == b"\5\0" + bytes([5, reply, 0, 1]) + bytes(6)


async def test_a_socks5_target_with_port_0_is_never_dialled() -> None:
    gate = MemoryGate()
    assert (await answers_to(socks5_port, gate, b"\5\1\0\5\1\0\1\x0a\0\0\5\0\0"))[3] == 1
    assert gate.openings == 0


# --- CONNECT ----------------------------------------------------------------------------------------------------------


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


# --- credentials ------------------------------------------------------------------------------------------------------


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


# --- heads ------------------------------------------------------------------------------------------------------------


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


# --- clients that go away, or take their time -------------------------------------------------------------------------

HANDSHAKES: list[tuple[Port, bytes, int]] = [
    (socks5_port, SOCKS_GREETING + SOCKS_LOGIN + SOCKS_REQUEST, 14),
    (http_port, CONNECT_GW, len(ESTABLISHED)),
    (any_port, SOCKS_GREETING + SOCKS_LOGIN + SOCKS_REQUEST, 14),
    (any_port, CONNECT_GW, len(ESTABLISHED)),
    (any_port, SOCKS4_REQUEST, 8),
]
PORTS = ["socks5", "connect", "any-socks5", "any-connect", "any-socks4"]


@pytest.mark.parametrize(("port", "handshake", "length"), HANDSHAKES, ids=PORTS)
async def test_a_handshake_cut_at_every_byte_dials_nothing_and_ends(port: Port, handshake: bytes, length: int) -> None:
    gate = MemoryGate()
    for size in range(len(handshake)):
        await answers_to(port, gate, handshake[:size])
    assert gate.openings == 0


@pytest.mark.parametrize(("port", "handshake", "length"), HANDSHAKES, ids=PORTS)
async def test_a_handshake_split_at_every_byte_opens_the_same_tunnel(port: Port, handshake: bytes, length: int) -> None:
    gate = MemoryGate()
    for at in range(1, len(handshake)):
        async with served(port, gate) as client:
            await client.write(handshake[:at])
            await asyncio.sleep(0)
            await client.write(handshake[at:] + b"early")
            target = await dialled(gate)
            assert (target.route, target.target) == ("gw-01", "printer.lan:9100")
            assert await target.stream.read_exactly(5) == b"early"
            await client.read_exactly(length)
            await target.stream.close_write()


@pytest.mark.parametrize(("port", "handshake", "length"), HANDSHAKES, ids=PORTS)
async def test_a_handshake_that_never_ends_is_ended(port: Port, handshake: bytes, length: int) -> None:
    gate = MemoryGate()
    async with served(port, gate, IMPATIENT) as client:
        answer = bytearray()
        await client.write(handshake[:-1])
        answer += await client.read_all()
    assert gate.openings == 0
    if handshake == CONNECT_GW:
        assert head_of(bytes(answer))[0] == 408


@pytest.mark.parametrize("port", [socks5_port, http_port, any_port])
async def test_a_client_that_says_nothing_is_left_without_an_answer(port: Port) -> None:
    async with served(port, MemoryGate(), IMPATIENT) as client:
        assert await client.read_all() == b""


async def test_a_head_that_comes_byte_by_byte_has_one_deadline_in_all() -> None:
    async with served(http_port, MemoryGate(), IMPATIENT) as client:
        reading = asyncio.create_task(client.read_all())
        while not reading.done():
            await client.write(b"G")
            await asyncio.wait({reading}, timeout=0.01)
        assert head_of(await reading)[0] == 408


@pytest.mark.parametrize(("port", "handshake", "length"), HANDSHAKES, ids=PORTS)
async def test_a_client_that_leaves_while_its_target_is_dialled_ends_the_dialling(
    port: Port, handshake: bytes, length: int
) -> None:
    gate = MemoryGate()
    gate.answers.clear()
    async with served(port, gate) as client:
        await client.write(handshake)
        await eventually(lambda: gate.openings == 1)
        await client.close_write()
        await eventually(lambda: gate.opening_was_cancelled)


@pytest.mark.parametrize(("port", "handshake", "length"), HANDSHAKES, ids=PORTS)
async def test_a_client_that_breaks_while_its_target_is_dialled_ends_the_dialling(
    port: Port, handshake: bytes, length: int
) -> None:
    gate = MemoryGate()
    gate.answers.clear()
    async with served(port, gate) as client:
        await client.write(handshake + b"early")
        await eventually(lambda: gate.openings == 1)
        client.abort(StreamBroken("reset"))
        await eventually(lambda: gate.opening_was_cancelled)


@pytest.mark.parametrize(("port", "handshake", "length"), HANDSHAKES, ids=PORTS)
async def test_what_a_client_sends_while_its_target_is_dialled_is_not_lost(
    port: Port, handshake: bytes, length: int
) -> None:
    gate = MemoryGate()
    gate.answers.clear()
    async with served(port, gate) as client:
        await client.write(handshake)
        await eventually(lambda: gate.openings == 1)
        await client.write(b"early")
        await eventually(lambda: client.has_been_read, what="the port reads ahead")
        await client.write(b" and late")
        await client.close_write()
        gate.answers.set()
        target = await dialled(gate)
        assert await target.stream.read_all() == b"early and late"
        await target.stream.write(b"answer")
        await target.stream.close_write()
        assert (await client.read_all())[length:] == b"answer"


@pytest.mark.parametrize(("port", "handshake", "length"), HANDSHAKES, ids=PORTS)
async def test_a_client_that_sent_early_and_ended_has_not_left(port: Port, handshake: bytes, length: int) -> None:
    gate = MemoryGate()
    gate.answers.clear()
    async with served(port, gate) as client:
        await client.write(handshake + b"all it has to say")
        await client.close_write()
        await eventually(lambda: gate.openings == 1)
        await eventually(lambda: client.end_was_read)
        gate.answers.set()
        target = await dialled(gate)
        assert await target.stream.read_all() == b"all it has to say"
        await target.stream.close_write()


@pytest.mark.parametrize(("port", "handshake", "length"), HANDSHAKES, ids=PORTS)
async def test_an_end_that_comes_together_with_the_targets_answer_is_passed_on(
    port: Port, handshake: bytes, length: int
) -> None:
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))
    gate = MemoryGate()
    gate.answers.clear()
    async with served(port, gate) as client:
        await client.write(handshake)
        await eventually(lambda: gate.openings == 1 and client.is_awaited)
        await client.close_write()
        gate.answers.set()
        target = await dialled(gate)
        assert await target.stream.read() == b""
        await target.stream.write(b"answer")
        await target.stream.close_write()
        assert (await client.read_all())[length:] == b"answer"
    assert failures == []


async def test_a_port_that_is_stopped_does_not_wait_for_its_client() -> None:
    class Stuck(MemoryStream):
        async def close_write(self) -> None:
            await asyncio.Event().wait()

    client, accepted = stream_pair()
    serving = asyncio.create_task(http_port(Stuck(accepted._incoming, accepted._outgoing), MemoryGate(), PATIENT))
    await eventually(lambda: client.is_awaited)
    serving.cancel()
    done, _ = await asyncio.wait({serving}, timeout=10)
    assert done
    assert serving.cancelled()


@pytest.mark.parametrize(("port", "handshake", "length"), HANDSHAKES, ids=PORTS)
async def test_an_unexpected_exception_of_the_gate_propagates(port: Port, handshake: bytes, length: int) -> None:
    class Broken(MemoryGate):
        async def admit(self, user: str, password: str) -> str:
            raise ZeroDivisionError

    client, accepted = stream_pair()
    await client.write(handshake)
    with pytest.raises(ZeroDivisionError):
        await port(accepted, Broken(), PATIENT)
    assert (await client.read_all())[:2] in {b"", b"\5\2"}


async def test_a_socks4_client_is_told_apart_by_whether_it_is_its_user_that_is_refused() -> None:
    assert await answers_to(any_port, MemoryGate(passwords={"gw-01": "secret"}), SOCKS4_REQUEST) == b"\0\x5d" + bytes(6)
    failures = {"printer.lan:9100": TargetRefused()}
    assert await answers_to(any_port, MemoryGate(failures=failures), SOCKS4_REQUEST) == b"\0\x5b" + bytes(6)
    assert await answers_to(any_port, MemoryGate(), b"\4\2" + SOCKS4_REQUEST[2:]) == b"\0\x5b" + bytes(6)


@pytest.mark.parametrize("first", [b"\0", b"\4", b"\6", b"\xff", b" ", b"\r\n\r\n"])
async def test_any_port_ends_what_is_none_of_its_protocols(first: bytes) -> None:
    gate = MemoryGate()
    await answers_to(any_port, gate, first * 10)
    assert gate.openings == 0
