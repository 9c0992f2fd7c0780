"""Checks how sockets are told that there is something to do, with epoll and without."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from edge_wire import readiness
from edge_wire.readiness import READABLE, WRITABLE
from tests.support.eventually import eventually

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(params=[True, False], ids=["epoll", "levels"], autouse=True)
def has_epoll(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(readiness, "IS_EDGE_TRIGGERED", request.param)
    return bool(request.param)


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    found = [socket.socketpair() for _ in range(3)]
    for pair in found:
        for end in pair:
            end.setblocking(False)
    yield found
    for pair in found:
        for end in pair:
            end.close()


async def test_what_was_there_before_is_told_and_what_comes_after_a_drained_read(pairs: list[Pair]) -> None:
    ours, theirs = pairs[0]
    told: list[int] = []
    theirs.send(b"one")
    watching = readiness.readiness(asyncio.get_running_loop())
    watching.watch(ours.fileno(), told.append)
    await eventually(lambda: len(told) == 1 and told[0] & READABLE)
    assert ours.recv(10) == b"one"
    watching.await_reading(ours.fileno())
    theirs.send(b"two")
    await eventually(lambda: len(told) == 2)
    watching.forget(ours.fileno(), is_closing=False)
    theirs.send(b"three")
    await asyncio.sleep(0.05)
    assert len(told) == 2


async def test_room_is_told_once_it_is_asked_for(pairs: list[Pair]) -> None:
    ours, theirs = pairs[0]
    told: list[int] = []
    watching = readiness.readiness(asyncio.get_running_loop())
    watching.watch(ours.fileno(), told.append)
    with suppress(BlockingIOError):
        while True:
            ours.send(bytes(100_000))
    watching.await_writing(ours.fileno())
    with suppress(BlockingIOError):
        while theirs.recv(1_000_000):
            pass
    await eventually(lambda: any(events & WRITABLE for events in told))
    watching.forget(ours.fileno(), is_closing=True)


async def test_one_that_fails_does_not_make_the_others_deaf(pairs: list[Pair]) -> None:
    told: list[int] = []

    def fail(_events: int) -> None:
        raise ArithmeticError

    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    watching = readiness.readiness(asyncio.get_running_loop())
    for number, (ours, theirs) in enumerate(pairs):
        watching.watch(ours.fileno(), fail if number == 0 else told.append)
        theirs.send(b"x")
    await eventually(lambda: len(told) == 2)
    for ours, _ in pairs:
        watching.forget(ours.fileno(), is_closing=True)


async def test_a_watcher_may_take_another_ones_socket_away(pairs: list[Pair]) -> None:
    told: list[int] = []
    watching = readiness.readiness(asyncio.get_running_loop())
    numbers = [ours.fileno() for ours, _ in pairs]

    def take_all(_events: int) -> None:
        told.append(1)
        for number in numbers:
            watching.forget(number, is_closing=False)

    for ours, theirs in pairs:
        watching.watch(ours.fileno(), take_all)
        theirs.send(b"x")
    await eventually(lambda: len(told) == 1)
    await asyncio.sleep(0.05)
    assert told == [1]
