"""Checks plain HTTP through a proxy port as conversations: one request, and its response of every form."""

from __future__ import annotations

import asyncio

import pytest

from edge_wire.errors import (
    StreamBroken,
)
from tests.support.eventually import eventually
from tests.support.proxy_clients import (
    GET,
    GET_AT_ORIGIN,
    HELLO,
    HELLO_PASSED,
    NO_BODY,
    POST,
    answers_to,
    asked,
    basic,
    dialled,
    head_of,
    http_port,
    response_to,
    served,
)
from tests.support.proxy_gates import MemoryGate


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
        await origin.stream.close_write()


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
        assert not origin.is_closed, "the client waits for no origin"


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
