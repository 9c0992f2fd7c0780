"""A lazy timer calls in time or earlier, and putting it off makes no further timer."""

from __future__ import annotations

import asyncio

from edge_wire.lazy_timer import LazyTimer

FAR = 3600.0


async def test_it_calls_once_it_is_due() -> None:
    called = asyncio.Event()
    LazyTimer(called.set).within(0.001)
    await asyncio.wait_for(called.wait(), 10)


async def test_an_earlier_call_is_kept_when_it_is_put_off() -> None:
    called = asyncio.Event()
    timer = LazyTimer(called.set)
    timer.within(0.001)
    timer.within(FAR)
    await asyncio.wait_for(called.wait(), 10)


async def test_a_later_call_is_moved_forward() -> None:
    called = asyncio.Event()
    timer = LazyTimer(called.set)
    timer.within(FAR)
    timer.within(0.001)
    await asyncio.wait_for(called.wait(), 10)


async def test_after_a_call_it_calls_again_only_when_it_is_asked() -> None:
    calls: list[int] = []
    called = asyncio.Event()

    def call() -> None:
        calls.append(1)
        called.set()

    timer = LazyTimer(call)
    for number in range(3):
        called.clear()
        timer.within(0.001)
        await asyncio.wait_for(called.wait(), 10)
        assert len(calls) == number + 1


async def test_what_is_cancelled_does_not_call() -> None:
    calls: list[str] = []
    later = asyncio.Event()
    timer = LazyTimer(lambda: calls.append("cancelled"))
    timer.within(0.001)
    timer.cancel()
    LazyTimer(later.set).within(0.01)
    await asyncio.wait_for(later.wait(), 10)
    assert calls == []
