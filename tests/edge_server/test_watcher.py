"""Checks what one watcher of a command is told: in order, from its cursors on, with gaps instead of silence."""

from __future__ import annotations

import asyncio

import pytest

from edge_server.commands.watch import Delivery
from edge_wire.errors import ShuttingDown
from edge_wire.v1 import command_pb2 as pb
from tests.edge_server.watching import (
    STDERR,
    STDOUT,
    a_watcher,
    all_told,
    batches,
    end,
    in_short,
    output,
    running,
)
from tests.support.eventually import eventually


async def test_events_come_in_the_order_in_which_they_happened() -> None:
    watcher = a_watcher()
    watcher.push(running())
    watcher.push_output(output(0, b"one"), None)
    watcher.push_output(output(3, b"two"), None)
    watcher.push(end(stdout=6))
    assert await all_told(watcher) == [("state", "e1"), (0, b"one"), (3, b"two"), ("end", "e1")]


async def test_the_last_word_comes_after_everything_else_and_nothing_follows_it() -> None:
    watcher = a_watcher()
    watcher.finish(pb.CommandFinished(counts=pb.OutcomeCounts(total=1, ok=1)))
    watcher.push(end())
    first, second = await watcher.next_batch(), await watcher.next_batch()
    assert first is not None
    assert second is not None
    assert (in_short(first.watch.events), second.watch.finished.counts.ok) == ([("end", "e1")], 1)
    assert await watcher.next_batch() is None


async def test_a_watcher_with_nothing_to_take_waits_for_the_next_event() -> None:
    watcher = a_watcher()
    waiting = asyncio.create_task(watcher.next_batch())
    await asyncio.sleep(0)
    assert not waiting.done()
    watcher.push(running())
    response = await eventually(lambda: waiting.done() and waiting.result(), what="the event")
    assert isinstance(response, pb.ExecResponse)
    assert in_short(response.watch.events) == [("state", "e1")]


async def test_a_failure_comes_after_what_was_told_before_it() -> None:
    watcher = a_watcher()
    watcher.push(running())
    watcher.fail(ShuttingDown())
    assert await watcher.next_batch() is not None
    with pytest.raises(ShuttingDown):
        await watcher.next_batch()


async def test_a_watcher_that_comes_back_gets_only_what_lies_behind_its_cursors() -> None:
    watcher = a_watcher()
    watcher.start_at("e1", STDOUT, 5)
    watcher.push_output(output(0, b"0123"), None)
    watcher.push_output(output(4, b"4567"), None)
    watcher.push_output(output(0, b"err", stream=STDERR), None)
    assert await all_told(watcher) == [(5, b"567"), (0, b"err")]


async def test_what_arrives_again_is_told_once() -> None:
    watcher = a_watcher()
    for offset, data in [(0, b"abc"), (0, b"abc"), (1, b"bcd"), (2, b"c")]:
        watcher.push_output(output(offset, data), None)
    assert await all_told(watcher) == [(0, b"abc"), (3, b"d")]


async def test_what_is_missing_between_two_chunks_is_told_as_a_gap() -> None:
    watcher = a_watcher()
    watcher.push_output(output(0, b"abc"), None)
    watcher.push_output(output(10, b"xyz"), None)
    assert await all_told(watcher) == [(0, b"abc"), ("gap", 3, 10), (10, b"xyz")]


async def test_what_is_missing_before_the_end_is_told_as_a_gap_on_each_stream() -> None:
    watcher = a_watcher()
    watcher.push_output(output(0, b"abc"), None)
    watcher.push(end(stdout=5, stderr=2))
    assert await all_told(watcher) == [(0, b"abc"), ("gap", 3, 5), ("gap", 0, 2), ("end", "e1")]


async def test_executions_do_not_disturb_each_other() -> None:
    watcher = a_watcher()
    watcher.push_output(output(0, b"a", of="e1"), None)
    watcher.push_output(output(0, b"b", of="e2"), None)
    watcher.push_output(output(1, b"c", of="e1"), None)
    assert await all_told(watcher) == [(0, b"a"), (0, b"b"), (1, b"c")]


async def test_a_batch_is_bounded_in_bytes_and_in_events() -> None:
    watcher = a_watcher()
    for place in range(16):
        watcher.push_output(output(place * 64 * 1024, bytes(64 * 1024)), None)
    assert [len(batch) for batch in await batches(watcher)] == [8, 8]
    chatty = a_watcher()
    for _ in range(2000):
        chatty.push(running())
    assert [len(batch) for batch in await batches(chatty)] == [1024, 976]


async def test_a_chunk_counts_as_delivered_when_the_last_watcher_took_it() -> None:
    delivered: list[int] = []
    quick, slow = a_watcher(), a_watcher()
    delivery = Delivery(3, delivered.append)
    for watcher in (quick, slow):
        watcher.push_output(output(0, b"abc"), delivery)
    delivery.take()
    await quick.next_batch()
    assert delivered == []
    await slow.next_batch()
    assert delivered == [3]


async def test_a_watcher_that_leaves_holds_back_nothing() -> None:
    delivered: list[int] = []
    watcher, delivery = a_watcher(), Delivery(3, delivered.append)
    watcher.push_output(output(0, b"abc"), delivery)
    delivery.take()
    watcher.close()
    assert delivered == [3]
    assert await watcher.next_batch() is None


def test_a_chunk_that_nobody_needs_is_delivered_at_once() -> None:
    delivered: list[int] = []
    watcher, delivery = a_watcher(), Delivery(3, delivered.append)
    watcher.start_at("e1", STDOUT, 100)
    watcher.push_output(output(0, b"abc"), delivery)
    delivery.take()
    assert delivered == [3]
