"""Joining two byte streams: what a relay passes on, and what ends it."""

from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_address

import pytest

from edge_wire import readiness, streams
from edge_wire.connecting import connect
from edge_wire.errors import StreamBroken, TargetRefused, TargetTimedOut, TargetUnreachable, TunnelIdle, TunnelTooOld
from edge_wire.listener import ListenAddress, Listener
from edge_wire.sockets import SocketStream
from edge_wire.streams import CHUNK, RelayLimits
from tests.support.relays import LOOPBACK, WITHIN, a_pair, joined
from tests.support.services import everything

NEVER = 1 << 62
each_pump = pytest.mark.usefixtures("bulky")


@pytest.fixture(
    params=[(NEVER, True), (0, True), (100_000, True), (NEVER, False)], ids=["loop", "kernel", "both", "without epoll"]
)
def bulky(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many bytes this process moves before the kernel does, and how it learns that there are some."""
    size, has_epoll = request.param
    monkeypatch.setattr(streams, "BULKY", size)
    monkeypatch.setattr(readiness, "IS_EDGE_TRIGGERED", has_epoll)


@each_pump
async def test_what_is_said_arrives_whole_and_both_ends_end_properly() -> None:
    question, answer = os.urandom(3_000_000), os.urandom(5_000_000)
    async with joined() as both:

        async def serve() -> bytes:
            heard = await everything(both.server)
            await both.server.write(answer)
            await both.server.close_write()
            return heard

        serving = asyncio.create_task(serve())
        await both.client.write(question)
        await both.client.close_write()
        heard = await everything(both.client)
        assert hashlib.sha256(await serving).digest() == hashlib.sha256(question).digest()
        assert hashlib.sha256(heard).digest() == hashlib.sha256(answer).digest()
        await both.task
        assert (both.flow.sent, both.flow.received) == (len(question), len(answer))


@each_pump
async def test_a_direction_that_ends_leaves_the_other_one_alone() -> None:
    async with joined() as both:
        await both.server.close_write()
        assert await both.client.read() == b""
        await both.client.write(b"still here")
        assert await both.server.read() == b"still here"
        assert not both.task.done()


@each_pump
async def test_a_reset_is_passed_on_as_a_reset() -> None:
    async with joined() as both:
        await both.client.write(b"half of it")
        assert await both.server.read() == b"half of it"
        both.client.abort()
        with pytest.raises(StreamBroken):
            await both.server.read()
        with pytest.raises(StreamBroken):
            await both.task


@each_pump
async def test_a_slow_reader_slows_the_writer() -> None:
    async with joined() as both:
        written = 0

        async def write_for_ever() -> None:
            nonlocal written
            while True:
                await both.client.write(b"x" * CHUNK)
                written += CHUNK

        writing = asyncio.create_task(write_for_ever())
        before = -1
        while written != before:
            before = written
            await asyncio.wait({writing}, timeout=0.2)
        assert 0 < written < 64 * 1024 * 1024
        writing.cancel()


@each_pump
async def test_what_does_not_move_for_too_long_is_ended() -> None:
    async with joined(RelayLimits(idle=timedelta(milliseconds=200))) as both:
        with pytest.raises(TunnelIdle):
            await both.task
        with pytest.raises(StreamBroken):
            await both.client.read()


@each_pump
async def test_what_moves_is_not_idle() -> None:
    async with joined(RelayLimits(idle=timedelta(seconds=1))) as both:
        for _ in range(4):
            await asyncio.wait({both.task}, timeout=0.4)
            await both.client.write(b".")
            assert await both.server.read() == b"."
        assert not both.task.done()


@each_pump
async def test_even_what_moves_ends_with_its_time() -> None:
    async with joined(RelayLimits(total=timedelta(milliseconds=200))) as both:
        with pytest.raises(TunnelTooOld):
            await both.task


@each_pump
async def test_a_relay_that_is_cancelled_leaves_nothing_open() -> None:
    async with joined() as both:
        await both.client.write(b"x")
        assert await both.server.read() == b"x"
        both.task.cancel()
        with pytest.raises(StreamBroken):
            await both.server.read()
        with pytest.raises(StreamBroken):
            await both.client.read()


async def test_what_arrived_before_the_end_is_read_before_it() -> None:
    async with a_pair() as (ours, theirs):
        await theirs.write(b"all of it")
        await theirs.close_write()
        assert await everything(ours) == b"all of it"
        assert await ours.read() == b""


async def test_nothing_is_written_behind_the_end() -> None:
    async with a_pair() as (ours, _theirs):
        await ours.close_write()
        await ours.close_write()
        with pytest.raises(StreamBroken):
            await ours.write(b"more")


async def test_a_port_that_nobody_listens_on_refuses() -> None:
    listener = Listener(lambda stream: asyncio.sleep(0))
    place = await listener.open(ListenAddress(host="127.0.0.1", port=0))
    await listener.stop()
    with pytest.raises(TargetRefused):
        await connect(LOOPBACK, place.port, WITHIN)


async def test_a_target_that_does_not_answer_is_given_up() -> None:
    # Documentation addresses (RFC 5737) are routed nowhere; without any route the kernel says so at once.
    with pytest.raises((TargetTimedOut, TargetUnreachable)):
        await connect(ip_address("192.0.2.1"), 9, timedelta(milliseconds=100))


async def test_more_connections_than_allowed_are_refused() -> None:
    async def keep(stream: SocketStream) -> None:
        await stream.read()

    listener = Listener(keep, limit=1)
    place = await listener.open(ListenAddress(host="127.0.0.1", port=0))
    first = await connect(LOOPBACK, place.port, WITHIN)
    second = await connect(LOOPBACK, place.port, WITHIN)
    with pytest.raises(StreamBroken):
        await second.read()
    await first.write(b"x")
    with pytest.raises(StreamBroken):  # it was served, and then left
        await first.read()
    await listener.stop()


async def test_a_port_that_is_stopped_at_once_leaves_nothing_open() -> None:
    async def keep(stream: SocketStream) -> None:
        await stream.read()

    listener = Listener(keep)
    place = await listener.open(ListenAddress(host="127.0.0.1", port=0))
    client = await connect(LOOPBACK, place.port, WITHIN)
    while not listener._unattended:  # accepted, and its task has not begun
        await asyncio.sleep(0)
    await listener.stop()
    with suppress(StreamBroken):  # it was served for a moment
        assert await everything(client) == b""
    client.abort()
