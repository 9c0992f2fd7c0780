"""Checks connections of an HTTP port that serve several requests: what is kept, asked again, and ended."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from edge_wire.proxies import http_exchange
from tests.support.eventually import eventually
from tests.support.proxy_clients import (
    GET,
    GET_AT_ORIGIN,
    HELLO,
    HELLO_PASSED,
    IMPATIENT,
    POST,
    asked,
    basic,
    dialled,
    head_of,
    http_port,
    served,
)
from tests.support.proxy_gates import LIMITS, MemoryGate


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


@pytest.mark.parametrize(
    "request_bytes",
    [
        POST % b"Content-Length: 2\r\n" + b"hi",
        (POST % b"").replace(b"POST", b"DELETE"),
        GET % b"Content-Length: 2\r\n" + b"hi",
    ],
    ids=["post", "delete", "get-with-a-body"],
)
async def test_nothing_else_is_ever_asked_again(request_bytes: bytes) -> None:
    gate = MemoryGate()
    async with asked(GET % b"", gate) as (client, origin):
        await origin.stream.read_until(b"\r\n\r\n")
        await origin.stream.write(HELLO)
        await client.read_exactly(len(HELLO_PASSED))
        await client.write(request_bytes)
        await origin.stream.read_until(b"\r\n\r\n")
        await origin.stream.close_write()
        assert head_of(await client.read_until(b"\r\n\r\n"))[0] == 502
    assert gate.openings == 1


async def test_time_without_a_request_is_not_the_next_ones_idleness() -> None:
    async with asked(GET % b"") as (client, origin):
        for _ in range(2):
            await origin.stream.read_until(b"\r\n\r\n")
            await origin.stream.write(HELLO)
            assert await client.read_exactly(len(HELLO_PASSED)) == HELLO_PASSED
            await eventually(lambda: client.is_awaited)
            origin.flow.moved_at -= LIMITS.idle.total_seconds() + 1
            await client.write(GET % b"")
        await origin.stream.read_until(b"\r\n\r\n")


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


async def test_an_origin_that_is_not_needed_any_more_is_left_properly() -> None:
    async with asked(GET % b"") as (client, origin):
        await origin.stream.read_until(b"\r\n\r\n")
        await origin.stream.write(HELLO)
        await client.read_exactly(len(HELLO_PASSED))
        await client.close_write()
        assert await origin.stream.read() == b""
        for _ in range(10):
            await asyncio.sleep(0)
        assert not origin.is_closed, "an origin has time to end in its turn"
        await origin.stream.close_write()
    assert origin.failure is None


async def test_a_client_that_asks_another_origin_does_not_wait_for_the_end_of_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_exchange, "_LEAVING", timedelta(hours=1))
    gate = MemoryGate()
    async with asked(GET % b"", gate) as (client, first):
        await first.stream.read_until(b"\r\n\r\n")
        await first.stream.write(HELLO)
        await client.read_exactly(len(HELLO_PASSED))
        await client.write((GET % b"").replace(b"printer.lan", b"other.lan"))
        second = await dialled(gate)
        assert first.is_closed
        assert first.stream.end_was_told
        await second.stream.close_write()
