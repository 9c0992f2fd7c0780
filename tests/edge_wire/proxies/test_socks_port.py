"""Checks SOCKS ports as conversations: a client's bytes in, ours out, targets in memory behind the gate."""

from __future__ import annotations

import pytest

from edge_wire.errors import (
    EdgeError,
    NodeOffline,
    TargetDenied,
    TargetNotResolved,
    TargetRefused,
    TargetTimedOut,
    TooManyAttempts,
)
from tests.support.proxy_clients import (
    SOCKS4_REQUEST,
    SOCKS_GREETING,
    SOCKS_LOGIN,
    SOCKS_REQUEST,
    SOCKS_SUCCESS,
    answers_to,
    any_port,
    dialled,
    served,
    socks5_port,
)
from tests.support.proxy_gates import MemoryGate


async def test_socks5_through_the_route_of_the_user_to_the_target() -> None:
    gate = MemoryGate(passwords={"gw-01": "secret"})
    async with served(socks5_port, gate) as client:
        await client.write(SOCKS_GREETING)
        assert await client.read_exactly(2) == b"\5\2"
        await client.write(SOCKS_LOGIN)
        assert await client.read_exactly(2) == b"\1\0"
        await client.write(SOCKS_REQUEST)
        assert await client.read_exactly(10) == SOCKS_SUCCESS
        target = await dialled(gate)
        assert (target.route, target.target) == ("gw-01", "printer.lan:9100")
        await client.write(b"question")
        assert await target.stream.read_exactly(8) == b"question"
        await target.stream.write(b"answer")
        assert await client.read_exactly(6) == b"answer"
        await client.close_write()
        assert await target.stream.read() == b""
        await target.stream.write(b"more after the client's end")
        await target.stream.close_write()
        assert await client.read_all() == b"more after the client's end"
    assert target.is_closed
    assert (target.flow.sent, target.flow.received) == (8, 33)


async def test_a_socks5_client_that_sends_everything_at_once_loses_nothing() -> None:
    gate = MemoryGate(passwords={"gw-01": "secret"})
    async with served(socks5_port, gate) as client:
        await client.write(SOCKS_GREETING + SOCKS_LOGIN + SOCKS_REQUEST + b"early")
        target = await dialled(gate)
        assert await target.stream.read_exactly(5) == b"early"
        assert await client.read_exactly(14) == b"\5\2\1\0" + SOCKS_SUCCESS
        await target.stream.close_write()
    assert target.flow.sent == 5


async def test_a_wrong_socks5_password_is_told_and_ends_the_connection() -> None:
    gate = MemoryGate(passwords={"gw-01": "other"})
    assert await answers_to(socks5_port, gate, SOCKS_GREETING, SOCKS_LOGIN, SOCKS_REQUEST) == b"\5\2\1\1"
    assert gate.openings == 0


async def test_nobody_is_admitted_as_nobody_where_no_password_is_needed() -> None:
    gate = MemoryGate()
    async with served(socks5_port, gate) as client:
        await client.write(b"\5\1\0" + SOCKS_REQUEST)
        assert await client.read_exactly(12) == b"\5\0" + SOCKS_SUCCESS
        await (await dialled(gate)).stream.close_write()
    assert gate.admitted == [("", "")]


async def test_nobody_that_is_not_admitted_is_told_so_in_the_reply_to_the_request() -> None:
    class Closed(MemoryGate):
        async def admit(self, user: str, password: str) -> str:
            raise TooManyAttempts

    assert await answers_to(socks5_port, Closed(), b"\5\1\0") == b"\5\0"
    assert await answers_to(socks5_port, Closed(), b"\5\1\0" + SOCKS_REQUEST) == b"\5\0\5\1\0\1" + bytes(6)


@pytest.mark.parametrize(
    ("failure", "reply"),
    [(TargetRefused(), 5), (TargetNotResolved(), 4), (TargetTimedOut(), 6), (TargetDenied(), 2), (NodeOffline(), 1)],
)
async def test_a_socks5_target_that_does_not_answer(failure: EdgeError, reply: int) -> None:
    gate = MemoryGate(failures={"printer.lan:9100": failure})
    answer = await answers_to(socks5_port, gate, b"\5\1\0" + SOCKS_REQUEST + b"early")
    assert answer == b"\5\0" + bytes([5, reply, 0, 1]) + bytes(6)


async def test_a_socks5_target_with_port_0_is_never_dialled() -> None:
    gate = MemoryGate()
    assert (await answers_to(socks5_port, gate, b"\5\1\0\5\1\0\1\x0a\0\0\5\0\0"))[3] == 1
    assert gate.openings == 0


async def test_a_socks4_client_is_told_apart_by_whether_it_is_its_user_that_is_refused() -> None:
    assert await answers_to(any_port, MemoryGate(passwords={"gw-01": "secret"}), SOCKS4_REQUEST) == b"\0\x5d" + bytes(6)
    failures = {"printer.lan:9100": TargetRefused()}
    assert await answers_to(any_port, MemoryGate(failures=failures), SOCKS4_REQUEST) == b"\0\x5b" + bytes(6)
    assert await answers_to(any_port, MemoryGate(), b"\4\2" + SOCKS4_REQUEST[2:]) == b"\0\x5b" + bytes(6)
