"""What must hold when the kernel takes a relay over from this process, and after."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import random
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from edge_wire import joint, moving, streams
from edge_wire.certificates import new_admin_identity, new_authority
from edge_wire.errors import ShuttingDown, StreamBroken, TunnelIdle, TunnelTooOld
from edge_wire.joint import Joinable, Joint
from edge_wire.listener import ListenAddress, Listener
from edge_wire.sockets import PlainStream, SocketStream
from edge_wire.streams import CHUNK, Flow, RelayLimits, relay
from tests.support.eventually import eventually
from tests.support.open_files import few_open_files
from tests.support.relays import Joined, a_pair, joined
from tests.support.services import everything

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel takes over before the first byte."""
    monkeypatch.setattr(streams, "BULKY", 0)


async def spliced(both: Joined) -> None:
    await eventually(lambda: both.is_spliced)


async def send(stream: SocketStream, data: bytes) -> None:
    """Write everything, and the end."""
    for start in range(0, len(data), 3 * CHUNK):
        await stream.write(data[start : start + 3 * CHUNK])
    await stream.close_write()


async def echo(stream: SocketStream) -> None:
    while data := await stream.read():
        await stream.write(data)
    await stream.close_write()


async def digest(stream: SocketStream) -> str:
    found = hashlib.sha256()
    while data := await stream.read():
        found.update(data)
    return found.hexdigest()


async def is_broken(stream: SocketStream) -> bool:
    """For a stream that was read to its end: only writing tells."""
    try:
        await stream.write(b"is anybody there?")
    except StreamBroken:
        return True
    return False


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def no_more_files() -> Iterator[None]:
    lowest = os.dup(0)
    os.close(lowest)
    with few_open_files(lowest):
        yield


def server_context(directory: Path) -> ssl.SSLContext:
    identity = new_admin_identity(new_authority("i-1"), "a-1")
    chain = directory / "chain.pem"
    chain.write_bytes(identity.certificate_chain + identity.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context


def careless_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.mark.slow
async def test_eight_relays_at_once_lose_and_double_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BULKY", MIB)
    chance = random.Random(1)

    async def run() -> bool:
        up, down = os.urandom(chance.randrange(24 * MIB)), os.urandom(24 * MIB)
        async with joined() as both:
            sending = [asyncio.create_task(send(both.client, up)), asyncio.create_task(send(both.server, down))]
            heard, answered = await asyncio.gather(digest(both.server), digest(both.client))
            assert heard == hashlib.sha256(up).hexdigest()
            assert answered == hashlib.sha256(down).hexdigest()
            await asyncio.gather(both.task, *sending)
            assert (both.flow.sent, both.flow.received) == (len(up), len(down))
            return both.is_spliced

    assert any(await asyncio.gather(*(run() for _ in range(8))))


@pytest.mark.slow
async def test_eight_echoes_at_once_lose_and_double_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BULKY", MIB)

    async def run() -> bool:
        data = os.urandom(24 * MIB)
        async with joined() as both:
            working = [asyncio.create_task(echo(both.server)), asyncio.create_task(send(both.client, data))]
            assert await digest(both.client) == hashlib.sha256(data).hexdigest()
            await asyncio.gather(both.task, *working)
            return both.is_spliced

    assert any(await asyncio.gather(*(run() for _ in range(8))))


async def test_the_kernel_may_take_over_at_any_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(2)
    taken = 0
    for _ in range(100):
        up, down = (os.urandom(chance.randrange(1_000_000)) for _ in range(2))
        monkeypatch.setattr(streams, "BULKY", chance.randrange(1_000_000))
        async with joined() as both:
            sending = [asyncio.create_task(send(both.client, up)), asyncio.create_task(send(both.server, down))]
            heard, answered = await asyncio.gather(everything(both.server), everything(both.client))
            assert heard == up
            assert answered == down
            await asyncio.gather(both.task, *sending)
            assert (both.flow.sent, both.flow.received) == (len(up), len(down))
            taken += both.is_spliced
    assert taken > 20


async def test_a_direction_that_had_ended_before_stays_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BULKY", MIB)
    answer = os.urandom(4 * MIB)
    async with joined() as both:
        await both.client.write(b"question")
        await both.client.close_write()
        assert await everything(both.server) == b"question"
        sending = asyncio.create_task(send(both.server, answer))
        assert await everything(both.client) == answer
        await asyncio.gather(both.task, sending)
        assert both.is_spliced


async def test_a_direction_that_nobody_reads_keeps_the_other_one_moving(monkeypatch: pytest.MonkeyPatch) -> None:
    # It is never a good moment to take over: what waits for the client is in this process.
    monkeypatch.setattr(streams, "BULKY", 1)
    async with joined() as both:
        answer = os.urandom(16 * MIB)
        stuck = asyncio.create_task(send(both.server, answer))
        question = os.urandom(16 * MIB)
        asking = asyncio.create_task(send(both.client, question))
        assert await everything(both.server) == question
        assert await everything(both.client) == answer
        await asyncio.gather(both.task, stuck, asking)


async def test_a_reset_is_passed_on() -> None:
    async with joined() as both:
        await both.client.write(b"half of it")
        assert await both.server.read() == b"half of it"
        await spliced(both)
        both.client.abort()
        with pytest.raises(StreamBroken):
            await both.server.read()
        with pytest.raises(StreamBroken, match="reset"):
            await both.task


async def test_a_reset_is_noticed_behind_the_end_of_its_direction() -> None:
    async with joined() as both:
        await spliced(both)
        await both.client.close_write()
        assert await both.server.read() == b""
        both.client.abort()
        with pytest.raises(StreamBroken):
            await both.task
        await eventually(lambda: is_broken(both.server))


async def test_a_relay_that_is_cancelled_resets_both_ends() -> None:
    async with joined() as both:
        await both.client.write(b"x")
        assert await both.server.read() == b"x"
        await spliced(both)
        both.task.cancel()
        with pytest.raises(StreamBroken):
            await both.server.read()
        with pytest.raises(StreamBroken):
            await both.client.read()


async def test_what_is_given_up_before_the_thread_has_it_is_reset_too() -> None:
    async with a_pair() as (client, near), a_pair() as (far, server):
        assert isinstance(near, PlainStream)
        assert isinstance(far, PlainStream)
        joint = Joint(near, far, (lambda _size: None, lambda _size: None), lambda: True)
        assert joint.is_spliced
        near.abort()
        with pytest.raises(StreamBroken):
            await joint.wait()
        with pytest.raises(StreamBroken):
            await client.read()
        with pytest.raises(StreamBroken):
            await server.read()


async def test_what_does_not_move_for_too_long_is_ended() -> None:
    async with joined(RelayLimits(idle=timedelta(milliseconds=200))) as both:
        await spliced(both)
        with pytest.raises(TunnelIdle):
            await both.task
        with pytest.raises(StreamBroken):
            await both.client.read()


async def test_what_moves_is_counted_meanwhile_and_ends_with_its_time() -> None:
    async with joined(RelayLimits(idle=timedelta(milliseconds=900), total=timedelta(seconds=2))) as both:
        await spliced(both)
        counted: set[int] = set()
        with suppress(StreamBroken):
            while True:
                await both.client.write(b"x" * 1000)
                await both.server.read()
                counted.add(both.flow.sent)
        with pytest.raises(TunnelTooOld):
            await both.task
        assert len(counted) > 10


async def test_whoever_owns_a_stream_may_end_the_relay_with_a_reason() -> None:
    async with joined() as both:
        await spliced(both)
        both.far.abort(ShuttingDown())
        with pytest.raises(ShuttingDown):
            await both.task
        with pytest.raises(StreamBroken):
            await both.client.read()


async def test_whoever_owns_a_stream_may_end_one_direction() -> None:
    async with joined() as both:
        await spliced(both)
        await both.far.close_write()
        assert await both.server.read() == b""
        await both.server.write(b"the last word")
        assert await both.client.read() == b"the last word"
        await both.server.close_write()
        await both.client.close_write()
        await both.task


async def test_a_stream_that_was_given_away_is_not_read_nor_written() -> None:
    async with joined() as both:
        await spliced(both)
        with pytest.raises(StreamBroken):
            await both.near.read()
        with pytest.raises(StreamBroken):
            await both.near.write(b"x")


@pytest.mark.parametrize("end", [lambda both: both.client.abort(), lambda both: both.task.cancel()])
async def test_two_hundred_relays_leave_no_file_open(end: Callable[[Joined], None]) -> None:
    async def one(is_orderly: bool) -> None:
        async with joined() as both:
            await both.client.write(b"x" * 100_000)
            await spliced(both)
            if is_orderly:
                await asyncio.gather(both.client.close_write(), both.server.close_write())
                await asyncio.gather(everything(both.client), everything(both.server))
            else:
                end(both)
            await asyncio.gather(both.task, return_exceptions=True)

    await one(is_orderly=True)  # the thread has files of its own
    before = await eventually(open_files)
    for number in range(200):
        await one(is_orderly=number % 2 == 0)
    await eventually(lambda: open_files() <= before)


async def test_without_files_for_pipes_bytes_go_through_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "_SPARE_PIPES", 0)
    data = os.urandom(4 * MIB)
    async with joined() as both:
        await spliced(both)
        with no_more_files():
            sending = asyncio.create_task(send(both.client, data))
            assert await everything(both.server) == data
            await both.server.close_write()
            await asyncio.gather(both.task, sending)


async def test_without_files_for_the_thread_this_process_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BULKY", MIB)
    monkeypatch.setattr(joint, "_splicer", None)
    data = os.urandom(4 * MIB)
    async with joined() as both:
        with no_more_files():
            sending = asyncio.create_task(send(both.client, data))
            assert await everything(both.server) == data
            await both.server.close_write()
            await asyncio.gather(both.task, sending)
        assert not both.is_spliced


async def test_tls_stays_in_this_process(tmp_path: Path) -> None:
    accepted: asyncio.Future[SocketStream] = asyncio.get_running_loop().create_future()

    async def serve(near: SocketStream) -> None:
        accepted.set_result(near)
        async with a_pair() as (far, server):
            answering = asyncio.create_task(echo(server))
            await relay(near, far, limits=RelayLimits(), flow=Flow())
            await answering

    listener = Listener(serve)
    place = await listener.open(ListenAddress(host="127.0.0.1", port=0), server_context(tmp_path))
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port, ssl=careless_context())
    data = os.urandom(MIB)
    writer.write(data)
    assert await reader.readexactly(MIB) == data
    near = await accepted
    assert not isinstance(near, Joinable)
    writer.close()
    await writer.wait_closed()
    await listener.stop()
