"""What one task waits for, many times in a row, ends in its time: not by the time of what it waited for before."""

from __future__ import annotations

import asyncio

import pytest

from edge_wire.patience import Patience

FAR = 3600.0


def of_this_task() -> Patience:
    return Patience(asyncio.get_running_loop())


async def test_a_block_ends_at_its_deadline() -> None:
    patience = of_this_task()
    clock = asyncio.get_running_loop().time
    deadline = clock() + 0.05
    with pytest.raises(TimeoutError), patience.until(deadline):
        await asyncio.sleep(FAR)
    assert clock() >= deadline


async def test_an_earlier_blocks_deadline_does_not_end_a_later_block() -> None:
    patience = of_this_task()
    clock = asyncio.get_running_loop().time
    with patience.until(clock() + 0.02):
        pass
    deadline = clock() + 0.2
    with pytest.raises(TimeoutError), patience.until(deadline):
        await asyncio.sleep(FAR)
    assert clock() >= deadline


async def test_a_notice_comes_in_its_own_time_not_in_that_of_an_earlier_block() -> None:
    patience = of_this_task()
    clock = asyncio.get_running_loop().time
    noticed: list[float] = []

    def notice() -> None:
        noticed.append(clock())
        patience.end()

    with patience.until_ended(notice_after=0.02, notice=notice):
        pass
    began = clock()
    with pytest.raises(TimeoutError), patience.until_ended(notice_after=0.2, notice=notice):
        await asyncio.sleep(FAR)
    assert len(noticed) == 1
    assert noticed[0] - began >= 0.2


async def test_after_its_end_a_block_is_not_noticed() -> None:
    patience = of_this_task()
    noticed: list[int] = []
    with patience.until_ended(notice_after=0.001, notice=lambda: noticed.append(1)):
        pass
    with pytest.raises(TimeoutError), patience.until(asyncio.get_running_loop().time() + 0.1):
        await asyncio.sleep(FAR)
    assert noticed == []


async def test_a_task_that_is_told_to_end_is_not_said_to_be_late() -> None:
    async def wait() -> None:
        with of_this_task().until(asyncio.get_running_loop().time() + FAR):
            await asyncio.sleep(FAR)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
