"""The fault proxy, with real sockets: what each fault looks like from both sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.chaos.proxy import Connection, Proxy
from tests.support.eventually import eventually

PATIENCE = 10.0


@dataclass
class Line:
    """A connection through the proxy, with both of its ends."""

    proxy: Proxy
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    far_reader: asyncio.StreamReader
    far_writer: asyncio.StreamWriter

    @property
    def connection(self) -> Connection:
        (connection,) = self.proxy.connections
        return connection

    async def say(self, text: bytes) -> None:
        self.writer.write(text)
        await self.writer.drain()


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    arrived: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    server = await asyncio.start_server(lambda *ends: arrived.put_nowait(ends), "127.0.0.1", 0)
    proxy = Proxy(server.sockets[0].getsockname()[1])
    await proxy.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    far_reader, far_writer = await asyncio.wait_for(arrived.get(), PATIENCE)
    yield Line(proxy, reader, writer, far_reader, far_writer)
    for end in (writer, far_writer):
        end.close()
    await proxy.stop()
    server.close()


async def read(reader: asyncio.StreamReader, count: int) -> bytes:
    return await asyncio.wait_for(reader.readexactly(count), PATIENCE)


async def test_bytes_pass_both_ways(line: Line) -> None:
    await line.say(b"ask")
    assert await read(line.far_reader, 3) == b"ask"
    line.far_writer.write(b"answer")
    assert await read(line.reader, 6) == b"answer"
    assert line.proxy.accepted == 1


async def test_an_end_of_one_side_leaves_the_other_direction_open(line: Line) -> None:
    line.writer.write_eof()
    assert await asyncio.wait_for(line.far_reader.read(), PATIENCE) == b""
    line.far_writer.write(b"late")
    assert await read(line.reader, 4) == b"late"


async def test_cut_is_an_orderly_end_on_both_sides(line: Line) -> None:
    line.connection.cut()
    assert await asyncio.wait_for(line.reader.read(), PATIENCE) == b""
    assert await asyncio.wait_for(line.far_reader.read(), PATIENCE) == b""
    await eventually(lambda: not line.proxy.connections, what="the proxy forgets it")


async def test_reset_is_a_reset_on_both_sides(line: Line) -> None:
    line.connection.reset()
    for reader in (line.reader, line.far_reader):
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), PATIENCE)
    await eventually(lambda: not line.proxy.connections, what="the proxy forgets it")


async def test_a_stalled_connection_carries_nothing_and_then_everything(line: Line) -> None:
    line.connection.stall(3600)
    await line.say(b"late")
    reading = asyncio.ensure_future(line.far_reader.readexactly(4))
    line.far_writer.write(b"back")
    # The bytes have reached the proxy when a second connection, made later, has been served.
    reader, writer = await asyncio.open_connection("127.0.0.1", line.proxy.port)
    await eventually(lambda: len(line.proxy.connections) == 2, what="another connection is served")
    assert not reading.done()
    line.proxy.connections[0].stall(0)
    assert await asyncio.wait_for(reading, PATIENCE) == b"late"
    assert await read(line.reader, 4) == b"back"
    writer.close()
    assert not reader.at_eof()


@pytest.mark.parametrize("is_near_kept", [True, False])
async def test_half_open_is_a_reset_on_one_side_and_silence_on_the_other(line: Line, *, is_near_kept: bool) -> None:
    connection = line.connection
    connection.half_open(is_near_kept=is_near_kept)
    gone = line.far_reader if is_near_kept else line.reader
    kept_reader = line.reader if is_near_kept else line.far_reader
    kept_writer = line.writer if is_near_kept else line.far_writer
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(gone.read(), PATIENCE)
    kept_writer.write(b"x" * 4_000_000)
    await asyncio.wait_for(kept_writer.drain(), PATIENCE)  # it is taken, and goes nowhere
    assert not kept_reader.at_eof()
    assert line.proxy.connections == [connection]
    kept_writer.close()
    await eventually(lambda: not line.proxy.connections, what="the proxy forgets it")


async def test_nobody_behind_the_proxy_is_a_reset() -> None:
    listener = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()
    proxy = Proxy(port)
    await proxy.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    await proxy.stop()
