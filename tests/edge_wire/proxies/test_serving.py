"""Checks how all proxy ports take clients that cut, split, stop, leave or break, as conversations in memory."""

from __future__ import annotations

import asyncio

import pytest

from edge_wire.errors import (
    StreamBroken,
)
from tests.support.byte_streams import MemoryStream, stream_pair
from tests.support.eventually import eventually
from tests.support.proxy_clients import (
    CONNECT_GW,
    ESTABLISHED,
    IMPATIENT,
    PATIENT,
    SOCKS4_REQUEST,
    SOCKS_GREETING,
    SOCKS_LOGIN,
    SOCKS_REQUEST,
    Port,
    answers_to,
    any_port,
    dialled,
    head_of,
    http_port,
    served,
    socks5_port,
)
from tests.support.proxy_gates import MemoryGate

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
async def test_a_tunnel_that_breaks_raises_nothing_and_tells_the_client_and_the_gate(
    port: Port, handshake: bytes, length: int
) -> None:
    gate = MemoryGate()
    async with served(port, gate) as client:
        await client.write(handshake)
        target = await dialled(gate)
        await client.read_exactly(length)
        target.stream.abort(StreamBroken("reset"))
        with pytest.raises(StreamBroken, match="reset"):
            await client.read()
    assert isinstance(target.failure, StreamBroken)


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


@pytest.mark.parametrize("first", [b"\0", b"\4", b"\6", b"\xff", b" ", b"\r\n\r\n"])
async def test_any_port_ends_what_is_none_of_its_protocols(first: bytes) -> None:
    gate = MemoryGate()
    await answers_to(any_port, gate, first * 10)
    assert gate.openings == 0
