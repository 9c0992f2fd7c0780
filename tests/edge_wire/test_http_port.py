"""Checks plain HTTP through a proxy port as conversations: client, port and origins in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from edge_wire.errors import StreamBroken, TargetRefused, TunnelIdle, TunnelTooOld
from edge_wire.streams import RelayLimits
from tests.support.byte_streams import MemoryStream
from tests.support.eventually import eventually
from tests.support.proxy_clients import IMPATIENT, answers_to, basic, dialled, head_of, http_port, served
from tests.support.proxy_gates import Dialled, MemoryGate

GET = b"GET http://printer.lan/a?b=c HTTP/1.1\r\nHost: printer.lan\r\n%s\r\n"
GET_AT_ORIGIN = b"GET /a?b=c HTTP/1.1\r\nHost: printer.lan\r\nVia: 1.1 edge-test\r\n\r\n"
POST = b"POST http://printer.lan/ HTTP/1.1\r\nHost: printer.lan\r\n%s\r\n"
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
HELLO_PASSED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nVia: 1.1 edge-test\r\n\r\nhello"
NO_BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def asked(request: bytes, gate: MemoryGate | None = None) -> AsyncIterator[tuple[MemoryStream, Dialled]]:
    """A client that sent a request, and the origin that was dialled for it."""
    gate = gate or MemoryGate()
    async with served(http_port, gate) as client:
        await client.write(request)
        yield client, await dialled(gate)


async def response_to(request: bytes, response: bytes) -> bytes:
    """What a client gets for this request when the origin answers so and ends."""
    async with asked(request) as (client, origin):
        await origin.stream.read_until(b"\r\n\r\n")
        await origin.stream.write(response)
        await origin.stream.close_write()
        head = await client.read_until(b"\r\n\r\n")
        length = head_of(head)[1].get(b"content-length")
        return head + (await client.read_all() if length is None else await client.read_exactly(int(length)))


async def test_a_request_and_its_response() -> None:
    async with asked(GET % b"") as (client, origin):
        assert origin.target == "printer.lan:80"
        assert await origin.stream.read_until(b"\r\n\r\n") == GET_AT_ORIGIN
        await origin.stream.write(HELLO)
        assert await client.read_exactly(len(HELLO_PASSED)) == HELLO_PASSED
    assert origin.is_closed
    assert (origin.flow.sent, origin.flow.received) == (len(GET_AT_ORIGIN), len(HELLO))


async def test_credentials_of_the_proxy_never_reach_the_origin() -> None:
    gate = MemoryGate(passwords={"gw-01": "secret"})
    async with asked(GET % basic("gw-01", "secret"), gate) as (_, origin):
        assert origin.route == "gw-01"
        assert await origin.stream.read_until(b"\r\n\r\n") == GET_AT_ORIGIN


@pytest.mark.parametrize("at", range(1, len(POST % b"Content-Length: 5\r\n" + b"hello")))
async def test_a_request_split_anywhere_arrives_whole(at: int) -> None:
    whole = POST % b"Content-Length: 5\r\n" + b"hello"
    gate = MemoryGate()
    async with served(http_port, gate) as client:
        await client.write(whole[:at])
        await eventually(lambda: client.has_been_read)
        await client.write(whole[at:])
        origin = await dialled(gate)
        head = await origin.stream.read_until(b"\r\n\r\n")
        assert head == b"POST / HTTP/1.1\r\nHost: printer.lan\r\nContent-Length: 5\r\nVia: 1.1 edge-test\r\n\r\n"
        assert await origin.stream.read_exactly(5) == b"hello"
        await origin.stream.write(NO_BODY)
        await client.read_until(b"\r\n\r\n")


async def test_a_body_in_chunks_arrives_whole_and_its_trailers_end_here() -> None:
    body = b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n"
    async with asked(POST % b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n" + body) as (client, origin):
        head = await origin.stream.read_until(b"\r\n\r\n")
        assert b"\r\nTransfer-Encoding: chunked\r\n" in head
        assert b"Trailer" not in head
        assert await origin.stream.read_until(b"0\r\n\r\n") == b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        await origin.stream.write(NO_BODY)
        await client.read_until(b"\r\n\r\n")


async def test_bodies_of_megabytes_pass_both_ways_at_once() -> None:
    size = 3_000_000
    async with asked(POST % b"Content-Length: %d\r\n" % size) as (client, origin):
        await origin.stream.read_until(b"\r\n\r\n")

        async def upload() -> None:
            for _ in range(size // 1000):
                await client.write(b"u" * 1000)

        async def echo() -> bytes:
            await origin.stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            left = size
            while left:
                data = await origin.stream.read()
                await origin.stream.write(data)
                left -= len(data)
            return b""

        uploading, echoing = asyncio.create_task(upload()), asyncio.create_task(echo())
        await client.read_until(b"\r\n\r\n")
        assert await client.read_exactly(size) == b"u" * size
        await asyncio.gather(uploading, echoing)


# --- responses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "passed"),
    [
        (HELLO, HELLO_PASSED),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 99\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nVia: 1.1 edge-test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        (
            b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
            (
                b"HTTP/1.1 200 OK\r\nVia: 1.1 edge-test\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"d\r\nuntil the end\r\n0\r\n\r\n"
            ),
        ),
        (
            b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
            (
                b"HTTP/1.1 200 OK\r\nVia: 1.0 edge-test\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"d\r\nuntil the end\r\n0\r\n\r\n"
            ),
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 204 No Content\r\nVia: 1.1 edge-test\r\n\r\n"),
        (
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nVia: 1.1 edge-test\r\n\r\n",
        ),
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + HELLO,
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nVia: 1.1 edge-test\r\n\r\n" + HELLO_PASSED,
        ),
        (
            b"HTTP/1.1 999 \r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 999 \r\nContent-Length: 0\r\nVia: 1.1 edge-test\r\n\r\n",
        ),
    ],
    ids=["length", "chunks", "to-the-end", "to-the-end-1.0", "204", "304", "103", "999"],
)
async def test_a_response_of_every_framing_arrives_and_the_connection_goes_on(response: bytes, passed: bytes) -> None:
    gate = MemoryGate()
    async with served(http_port, gate) as client:
        for _ in range(2):
            await client.write(GET % b"")
            origin = await dialled(gate)
            await origin.stream.read_until(b"\r\n\r\n")
            await origin.stream.write(response)
            await origin.stream.close_write()
            assert await client.read_exactly(len(passed)) == passed
            await eventually(lambda: origin.is_closed or origin.stream.end_was_read)  # noqa: B023


async def test_the_answer_to_head_has_no_body_whatever_its_length() -> None:
    request = (GET % b"").replace(b"GET", b"HEAD")
    async with asked(request) as (client, origin):
        await origin.stream.read_until(b"\r\n\r\n")
        await origin.stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
        assert head_of(await client.read_until(b"\r\n\r\n"))[1][b"content-length"] == b"500"
        await client.write(request)
        assert await origin.stream.read_until(b"\r\n\r\n")


async def test_a_client_of_http_1_0_gets_the_body_and_the_end() -> None:
    answer = await response_to(
        b"GET http://printer.lan/ HTTP/1.0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    )
    assert answer == b"HTTP/1.1 200 OK\r\nVia: 1.1 edge-test\r\nConnection: close\r\n\r\nhello"


async def test_connection_close_ends_the_clients_connection() -> None:
    async with asked(GET % b"Connection: close\r\n") as (client, origin):
        assert await origin.stream.read_until(b"\r\n\r\n") == GET_AT_ORIGIN
        await origin.stream.write(HELLO)
        assert head_of(await client.read_all())[1][b"connection"] == b"close"


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
    ],
    ids=["nothing", "cut", "garbage", "nul", "two-lengths", "gzip", "switch-unasked", "too-long"],
)
async def test_an_origin_that_gives_no_response_is_a_bad_gateway(response: bytes) -> None:
    status, headers = head_of(await response_to(GET % b"", response))
    assert (status, headers[b"edge-error"]) == (502, b"stream_broken")


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello world",
    ],
)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_a_response_that_was_cut_does_not_look_whole(response: bytes, version: bytes) -> None:
    async with asked((GET % b"").replace(b"HTTP/1.1", b"HTTP/" + version)) as (client, origin):
        await origin.stream.read_until(b"\r\n\r\n")
        await origin.stream.write(response)
        await origin.stream.close_write()
        with pytest.raises(StreamBroken):
            await client.read_all()
        client.abort()
    assert origin.is_closed


# --- more than one request --------------------------------------------------------------------------------------------


async def test_requests_for_one_origin_share_its_connection_and_others_get_their_own() -> None:
    gate = MemoryGate()
    async with served(http_port, gate) as client:
        await client.write(GET % b"")
        first = await dialled(gate)
        for _ in range(3):
            await first.stream.read_until(b"\r\n\r\n")
            await first.stream.write(HELLO)
            await client.read_exactly(len(HELLO_PASSED))
            await client.write(GET % b"")
        await first.stream.read_until(b"\r\n\r\n")
        await first.stream.write(HELLO)
        await client.read_exactly(len(HELLO_PASSED))
        assert gate.openings == 1
        await client.write((GET % b"").replace(b"printer.lan", b"other.lan:8080"))
        second = await dialled(gate)
        assert second.target == "other.lan:8080"
        assert first.is_closed
        assert (await second.stream.read_until(b"\r\n\r\n")).startswith(b"GET /a?b=c HTTP/1.1\r\nHost: other.lan:8080")
        await second.stream.write(HELLO)
        await client.read_exactly(len(HELLO_PASSED))


async def test_the_same_origin_by_another_route_is_another_connection() -> None:
    gate = MemoryGate(passwords={"gw-01": "secret", "gw-02": "secret"})
    async with served(http_port, gate) as client:
        for user in ("gw-01", "gw-02"):
            await client.write(GET % basic(user, "secret"))
            origin = await dialled(gate)
            assert origin.route == user
            await origin.stream.read_until(b"\r\n\r\n")
            await origin.stream.write(HELLO)
            await client.read_exactly(len(HELLO_PASSED))


async def test_every_request_of_a_connection_needs_its_credentials() -> None:
    gate = MemoryGate(passwords={"gw-01": "secret"})
    async with asked(GET % basic("gw-01", "secret"), gate) as (client, origin):
        await origin.stream.read_until(b"\r\n\r\n")
        await origin.stream.write(HELLO)
        await client.read_exactly(len(HELLO_PASSED))
        await client.write(GET % b"")
        assert head_of(await client.read_until(b"\r\n\r\n"))[0] == 407
    assert gate.openings == 1


async def test_pipelined_requests_are_answered_in_order() -> None:
    gate = MemoryGate()
    async with served(http_port, gate) as client:
        await client.write(
            POST % b"Content-Length: 2\r\n" + b"hi" + (GET % b"") * 2 + b"CONNECT a:1 HTTP/1.0\r\n\r\nraw"
        )
        origin = await dialled(gate)
        assert (await origin.stream.read_until(b"\r\n\r\nhi")).startswith(b"POST / HTTP/1.1")
        await origin.stream.write(HELLO)
        for _ in range(2):
            assert await origin.stream.read_until(b"\r\n\r\n") == GET_AT_ORIGIN
            await origin.stream.write(HELLO)
        assert await client.read_exactly(3 * len(HELLO_PASSED)) == HELLO_PASSED * 3
        tunnel = await dialled(gate)
        assert tunnel.target == "a:1"
        assert await tunnel.stream.read_exactly(3) == b"raw"
        await tunnel.stream.close_write()


async def test_an_origin_that_left_while_nobody_asked_is_dialled_again() -> None:
    gate = MemoryGate()
    async with served(http_port, gate) as client:
        for _ in range(2):
            await client.write(POST % b"Content-Length: 0\r\n")
            origin = await dialled(gate)
            await origin.stream.read_until(b"\r\n\r\n")
            await origin.stream.write(HELLO)
            await client.read_exactly(len(HELLO_PASSED))
            await origin.stream.close_write()
            await eventually(lambda: origin.stream.end_was_read)  # noqa: B023
    assert gate.openings == 2


async def test_a_get_is_asked_again_when_a_used_connection_ends_without_a_word() -> None:
    gate = MemoryGate()
    async with asked(GET % b"", gate) as (client, first):
        await first.stream.read_until(b"\r\n\r\n")
        await first.stream.write(HELLO)
        await client.read_exactly(len(HELLO_PASSED))
        await client.write(GET % b"")
        await first.stream.read_until(b"\r\n\r\n")
        await first.stream.close_write()
        second = await dialled(gate)
        assert await second.stream.read_until(b"\r\n\r\n") == GET_AT_ORIGIN
        await second.stream.close_write()
        assert head_of(await client.read_until(b"\r\n\r\n"))[0] == 502
    assert gate.openings == 2


async def test_a_post_is_never_asked_again() -> None:
    gate = MemoryGate()
    async with asked(GET % b"", gate) as (client, origin):
        await origin.stream.read_until(b"\r\n\r\n")
        await origin.stream.write(HELLO)
        await client.read_exactly(len(HELLO_PASSED))
        await client.write(POST % b"Content-Length: 2\r\n" + b"hi")
        await origin.stream.read_until(b"hi")
        await origin.stream.close_write()
        assert head_of(await client.read_until(b"\r\n\r\n"))[0] == 502
    assert gate.openings == 1


async def test_an_origin_that_says_more_than_its_response_is_not_asked_again() -> None:
    gate = MemoryGate()
    async with asked(GET % b"", gate) as (client, origin):
        await origin.stream.read_until(b"\r\n\r\n")
        await origin.stream.write(HELLO + b"HTTP/1.1 200 OK\r\n\r\npoison")
        await client.read_exactly(len(HELLO_PASSED))
        await client.write(GET % b"")
        second = await dialled(gate)
        await second.stream.read_until(b"\r\n\r\n")
        await second.stream.write(HELLO)
        assert await client.read_exactly(len(HELLO_PASSED)) == HELLO_PASSED


async def test_a_connection_that_nobody_uses_is_ended() -> None:
    gate = MemoryGate()
    async with served(http_port, gate, IMPATIENT) as client:
        await client.write(GET % b"")
        origin = await dialled(gate)
        await origin.stream.read_until(b"\r\n\r\n")
        await origin.stream.write(HELLO)
        assert await client.read_all() == HELLO_PASSED
        await eventually(lambda: origin.is_closed)


# --- bodies that are waited for ---------------------------------------------------------------------------------------


async def test_a_client_that_expects_100_continue_is_told_by_the_origin() -> None:
    async with asked(POST % b"Content-Length: 5\r\nExpect: 100-continue\r\n") as (client, origin):
        assert b"\r\nExpect: 100-continue\r\n" in await origin.stream.read_until(b"\r\n\r\n")
        await origin.stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert (await client.read_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 Continue\r\n")
        await client.write(b"hello")
        assert await origin.stream.read_exactly(5) == b"hello"
        await origin.stream.write(HELLO)
        assert await client.read_exactly(len(HELLO_PASSED)) == HELLO_PASSED


async def test_a_body_that_was_not_wanted_ends_the_connection_after_the_answer() -> None:
    async with asked(POST % b"Content-Length: 5\r\nExpect: 100-continue\r\n") as (client, origin):
        await origin.stream.read_until(b"\r\n\r\n")
        await origin.stream.write(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
        assert head_of(await client.read_all())[0] == 417
    assert origin.is_closed


async def test_a_refused_request_with_a_body_to_come_ends_the_connection() -> None:
    gate = MemoryGate(passwords={"gw-01": "secret"})
    answer = await answers_to(http_port, gate, POST % b"Content-Length: 5\r\nExpect: 100-continue\r\n" + b"hell")
    assert head_of(answer)[:1] == (407,)
    assert head_of(answer)[1][b"connection"] == b"close"
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_refused_request_whose_body_is_here_leaves_the_connection_to_the_next() -> None:
    gate = MemoryGate(passwords={"gw-01": "secret"})
    answer = await answers_to(http_port, gate, POST % b"Content-Length: 5\r\n" + b"hello" + GET % b"")
    assert answer.count(b"HTTP/1.1 407") == 2


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\n",
        b"5\r\nhello!!",
        b"-1\r\n",
        b"1" * 21 + b"\r\n",
        b"5 5\r\n",
        b"0\r\nX Y: 1\r\n\r\n",
        b"5\nhello\n0\n\n",
    ],
)
async def test_a_malformed_body_is_refused(body: bytes) -> None:
    async with asked(POST % b"Transfer-Encoding: chunked\r\n" + body) as (client, origin):
        await client.close_write()
        status, headers = head_of(await client.read_all())
        assert (status, headers[b"connection"]) == (400, b"close")
        await eventually(lambda: origin.is_closed)


async def test_a_body_that_never_ends_is_no_whole_request_for_the_origin() -> None:
    async with asked(POST % b"Content-Length: 5\r\n" + b"hell") as (client, origin):
        await client.close_write()
        assert head_of(await client.read_all())[0] == 400
        await origin.stream.read_until(b"hell")
        with pytest.raises(StreamBroken):
            await origin.stream.read()


# --- the end, early or late -------------------------------------------------------------------------------------------


async def test_a_client_that_leaves_ends_what_it_waited_for() -> None:
    async with asked(GET % b"") as (client, origin):
        await origin.stream.read_until(b"\r\n\r\n")
        await client.close_write()
        await eventually(lambda: origin.is_closed)


async def test_a_client_that_breaks_in_the_middle_of_a_response_ends_it() -> None:
    async with asked(GET % b"") as (client, origin):
        await origin.stream.read_until(b"\r\n\r\n")
        await origin.stream.write(b"HTTP/1.1 200 OK\r\n\r\nsome")
        await client.read_until(b"some")
        client.abort()
        await eventually(lambda: origin.is_closed)


async def test_nothing_that_moves_for_too_long_is_a_gateway_timeout() -> None:
    gate = MemoryGate(limits=RelayLimits(idle=IMPATIENT, total=timedelta(hours=1)))
    async with asked(GET % b"", gate) as (client, origin):
        status, headers = head_of(await client.read_until(b"\r\n\r\n"))
        assert (status, headers[b"edge-error"]) == (504, b"tunnel_idle")
    assert isinstance(origin.failure, TunnelIdle)


async def test_an_exchange_that_outlives_its_connections_time_is_cut() -> None:
    gate = MemoryGate(limits=RelayLimits(idle=timedelta(hours=1), total=IMPATIENT))
    async with asked(GET % b"", gate) as (client, origin):
        await origin.stream.write(b"HTTP/1.1 200 OK\r\n\r\nsome")
        with pytest.raises(TunnelTooOld):
            await client.read_all()
        client.abort()
    assert isinstance(origin.failure, TunnelTooOld)


async def test_a_refused_target_is_told_and_the_connection_goes_on() -> None:
    gate = MemoryGate(failures={"printer.lan:80": TargetRefused()})
    answer = await answers_to(http_port, gate, GET % b"" + (GET % b"").replace(b"GET", b"HEAD"), b"")
    assert answer.count(b"HTTP/1.1 502 Bad Gateway\r\nEdge-Error: target_refused\r\n") == 2
    assert answer.count(b"The target refused the connection\n") == 1


@pytest.mark.parametrize("target", [b"/", b"*", b"https://printer.lan/"])
async def test_a_request_that_is_none_for_a_proxy_is_told_what_is(target: bytes) -> None:
    gate = MemoryGate()
    answer = await answers_to(http_port, gate, b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % target)
    assert head_of(answer)[0] == 400
    assert b"CONNECT" in answer.partition(b"\r\n\r\n")[2]


async def test_options_that_may_go_no_further_are_answered_here() -> None:
    gate = MemoryGate()
    answer = await answers_to(http_port, gate, b"OPTIONS http://a/ HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n" * 2)
    assert answer.count(b"HTTP/1.1 200 OK\r\nAllow: CONNECT, ") == 2
    assert gate.openings == 0


# --- upgrades ---------------------------------------------------------------------------------------------------------

UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def test_an_upgrade_lets_bytes_flow_with_what_came_behind_it_on_both_sides() -> None:
    async with asked(GET % UPGRADE + b"client early") as (client, origin):
        head = await origin.stream.read_until(b"\r\n\r\n")
        assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in head
        await origin.stream.write(SWITCH + b"origin early")
        switch = await client.read_until(b"\r\n\r\n")
        assert switch.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert switch.endswith(b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert await client.read_exactly(12) == b"origin early"
        await client.write(b" and late\0\n")
        assert await origin.stream.read_exactly(23) == b"client early and late\0\n"
        await client.close_write()
        assert await origin.stream.read() == b""
        await origin.stream.write(b"after the client's end")
        await origin.stream.close_write()
        assert await client.read_all() == b"after the client's end"


async def test_bytes_that_come_while_the_origin_decides_on_an_upgrade_are_not_lost() -> None:
    async with asked(GET % UPGRADE) as (client, origin):
        await origin.stream.read_until(b"\r\n\r\n")
        await client.write(b"early")
        await eventually(lambda: client.has_been_read)
        await client.write(b" and late")
        await origin.stream.write(SWITCH)
        assert await origin.stream.read_exactly(14) == b"early and late"
        await origin.stream.close_write()


async def test_an_upgrade_that_breaks_later_is_not_answered_as_a_request() -> None:
    async with asked(GET % UPGRADE) as (client, origin):
        await origin.stream.read_until(b"\r\n\r\n")
        await origin.stream.write(SWITCH)
        await client.read_until(b"\r\n\r\n")
        origin.stream.abort(StreamBroken("reset"))
        with pytest.raises(StreamBroken):
            await client.read_all()
        client.abort()
    assert isinstance(origin.failure, StreamBroken)


async def test_an_upgrade_that_the_origin_does_not_take_is_an_ordinary_request() -> None:
    async with asked(GET % UPGRADE) as (client, origin):
        for _ in range(2):
            await origin.stream.read_until(b"\r\n\r\n")
            await origin.stream.write(HELLO)
            assert await client.read_exactly(len(HELLO_PASSED)) == HELLO_PASSED
            await client.write(GET % UPGRADE)
