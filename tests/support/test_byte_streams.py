"""Holds the streams in memory against those over sockets: what a test learns with the one is so with the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from ipaddress import ip_address

import pytest

from edge_wire.connecting import connect
from edge_wire.errors import EdgeError
from edge_wire.sockets import SocketStream
from edge_wire.streams import CHUNK, ByteStream
from tests.support.byte_streams import stream_pair
from tests.support.services import a_service, everything

Pair = AbstractAsyncContextManager[tuple[ByteStream, ByteStream]]


@asynccontextmanager
async def in_memory() -> AsyncIterator[tuple[ByteStream, ByteStream]]:
    yield stream_pair()


@asynccontextmanager
async def over_sockets() -> AsyncIterator[tuple[ByteStream, ByteStream]]:
    accepted: asyncio.Queue[SocketStream] = asyncio.Queue()
    is_over = asyncio.Event()

    async def serve(stream: SocketStream) -> None:
        accepted.put_nowait(stream)
        await is_over.wait()

    async with a_service(serve) as port:
        ours = await connect(ip_address("127.0.0.1"), port, timedelta(seconds=5))
        yield ours, await accepted.get()
        ours.abort()
        is_over.set()


@pytest.fixture(params=[in_memory, over_sockets])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[tuple[ByteStream, ByteStream]]:
    kind: Callable[[], Pair] = request.param
    async with kind() as streams:
        yield streams


async def test_each_direction_ends_by_itself(pair: tuple[ByteStream, ByteStream]) -> None:
    one, other = pair
    await one.write(b"question")
    await one.close_write()
    await one.close_write()
    assert await everything(other) == b"question"
    assert await other.read() == b""
    await other.write(b"answer")
    await other.close_write()
    assert await everything(one) == b"answer"


async def test_a_slow_reader_stops_the_writer_and_nothing_is_lost(pair: tuple[ByteStream, ByteStream]) -> None:
    one, other = pair
    written = 0

    async def write() -> None:
        nonlocal written
        for _ in range(1000):
            await one.write(bytes(CHUNK))
            written += CHUNK
        await one.close_write()

    writing = asyncio.create_task(write())
    done, _ = await asyncio.wait({writing}, timeout=0.5)
    assert not done
    assert written < 1000 * CHUNK
    assert len(await everything(other)) == 1000 * CHUNK
    await writing


async def test_an_abort_is_no_proper_end(pair: tuple[ByteStream, ByteStream]) -> None:
    one, other = pair
    await one.write(b"some")
    assert await other.read() == b"some"
    one.abort()
    with pytest.raises(EdgeError):
        await other.read()
    with pytest.raises(EdgeError):
        await one.read()
    with pytest.raises(EdgeError):
        await one.write(b"more")


async def test_an_abort_after_the_end_does_nothing(pair: tuple[ByteStream, ByteStream]) -> None:
    one, other = pair
    await one.write(b"all")
    await one.close_write()
    await other.close_write()
    assert await one.read() == b""
    one.abort()
    assert await everything(other) == b"all"


async def test_nothing_is_written_behind_the_end(pair: tuple[ByteStream, ByteStream]) -> None:
    one, _ = pair
    await one.close_write()
    with pytest.raises(EdgeError):
        await one.write(b"more")
