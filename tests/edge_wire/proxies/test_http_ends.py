"""Checks how exchanges through an HTTP port end, early or late, and what becomes of an upgrade."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from edge_wire.errors import (
    StreamBroken,
    TargetRefused,
    TunnelIdle,
    TunnelTooOld,
)
from edge_wire.streams import RelayLimits
from tests.support.byte_streams import ROOM, stream_pair
from tests.support.eventually import eventually
from tests.support.proxy_clients import (
    GET,
    HELLO,
    HELLO_PASSED,
    IMPATIENT,
    PATIENT,
    POST,
    answers_to,
    asked,
    head_of,
    http_port,
    served,
)
from tests.support.proxy_gates import MemoryGate


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


BIG_POST = POST % b"Content-Length: 100000000\r\n"


async def test_a_client_that_is_refused_while_it_sends_may_go_on_until_it_reads_why() -> None:
    gate = MemoryGate(failures={"printer.lan:80": TargetRefused()})
    async with asyncio.timeout(10), served(http_port, gate) as client:
        await client.write(BIG_POST)
        for _ in range(10):
            await client.write(bytes(ROOM))
        assert head_of(await client.read_all())[0] == 502


async def test_a_client_whose_body_the_origin_does_not_want_may_go_on_until_it_reads_why() -> None:
    async with asyncio.timeout(10), asked(BIG_POST) as (client, origin):
        await origin.stream.read_until(b"\r\n\r\n")
        await origin.stream.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        for _ in range(10):
            await client.write(bytes(ROOM))
        assert head_of(await client.read_all())[0] == 413
        with pytest.raises(StreamBroken):
            await origin.stream.read_all()


async def test_a_client_that_was_refused_cannot_go_on_for_ever() -> None:
    gate = MemoryGate(failures={"printer.lan:80": TargetRefused()})
    client, accepted = stream_pair()
    serving = asyncio.create_task(http_port(accepted, gate, PATIENT))
    await client.write(BIG_POST)
    written = 0
    while not serving.done():
        writing = asyncio.create_task(client.write(bytes(ROOM)))
        await asyncio.wait({serving, writing}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        written += ROOM
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    await serving
    assert written < 2_000_000


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
