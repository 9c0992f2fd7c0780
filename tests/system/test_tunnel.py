"""`edgectl tunnel`: the real command line, over a real admin and agent, to services of this machine."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from ipaddress import ip_address

import pytest

from edge_wire.connecting import connect
from edge_wire.errors import StreamBroken
from edge_wire.sockets import SocketStream
from tests.support.eventually import eventually
from tests.support.harness import Installation
from tests.support.local_ports import listen_address
from tests.support.programs import Program
from tests.support.services import a_service, echo, everything

WITHIN = timedelta(seconds=5)


async def listening(program: Program) -> int:
    """The local port of a running `edgectl tunnel -o jsonl`."""
    return int((await listen_address(program)).rpartition(":")[2])


async def reached(port: int) -> SocketStream:
    return await connect(ip_address("127.0.0.1"), port, WITHIN)


async def test_a_local_port_comes_out_at_the_node(one_node: Installation) -> None:
    sent = os.urandom(500_000)
    async with a_service(echo) as port:
        program = await one_node.start_edgectl("tunnel", "edge01", str(port), "-o", "jsonl")
        place = await listening(program)
        for _ in range(2):  # one connection after another
            stream = await reached(place)
            await stream.write(sent)
            await stream.close_write()
            assert await everything(stream) == sent
            stream.abort()
        program.process.send_signal(signal.SIGINT)
        assert await program.process.wait() == 130


async def test_standard_streams_carry_one_connection(one_node: Installation) -> None:
    sent = os.urandom(300_000)
    async with a_service(echo) as port:
        done = await one_node.edgectl("tunnel", "edge01", str(port), "--stdio", stdin=sent)
        assert (done.code, done.out, done.err) == (0, sent, "")


async def test_a_target_that_breaks_off_is_no_success(one_node: Installation) -> None:
    async def resets(stream: SocketStream) -> None:
        await stream.read()
        stream.abort()

    async with a_service(resets) as port:
        done = await one_node.edgectl("tunnel", "edge01", str(port), "--stdio", stdin=b"x")
        assert done.code == 9
        assert "stream_broken" in done.err


async def test_a_connection_that_cannot_be_made_is_reset_and_explained(one_node: Installation) -> None:
    program = await one_node.start_edgectl("tunnel", "edge01", "localhost:80", "-o", "jsonl")
    stream = await reached(await listening(program))
    with pytest.raises(StreamBroken):
        await stream.read()
    await eventually(lambda: "target_denied" in program.output, what="the reason")
    assert "EGRESS_ALLOW" in program.output
    assert program.is_running


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["nobody", "80"], 5, "node_not_found"),
        (["edge01", "80", "--stdio", "--listen", "1080"], 2, "usage"),
        (["edge01", "0"], 2, "target_invalid"),
        (["edge01", "example.com"], 2, "target_invalid"),
        (["edge01", "80", "--listen", "127.0.0.1:99999"], 2, "value_invalid"),
        (["edge01", "80", "--listen", "192.0.2.1:8080"], 10, "port_in_use"),
    ],
)
async def test_what_cannot_be_meant_is_refused_at_once(
    one_node: Installation, words: list[str], code: int, expected: str
) -> None:
    done = await one_node.edgectl("tunnel", *words)
    assert (done.code, done.out) == (code, b"")
    assert expected in done.err


async def test_the_local_port_outlives_a_restart_of_the_admin(one_node: Installation) -> None:
    async with a_service(echo) as port:
        program = await one_node.start_edgectl("tunnel", "edge01", str(port), "-o", "jsonl")
        place = await listening(program)
        await one_node.restart_admin()

        async def answers() -> bool:
            stream = await reached(place)
            try:
                await stream.write(b"x")
                return await stream.read() == b"x"
            except StreamBroken:
                return False
            finally:
                stream.abort()

        await eventually(answers, within=30.0, what="the port to come out at the node again")
