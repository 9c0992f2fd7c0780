"""Checks what happens to a watcher that takes nothing: it gets gaps instead of output, unless it is exact."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_server.commands.watch import STALL_SECONDS, Delivery, Watcher
from tests.edge_server.fleet import PROPERTY
from tests.edge_server.watching import Stopwatch, Told, a_watcher, all_told, end, in_short, output, running

LONG = STALL_SECONDS + 1


def letters(start: int, stop: int) -> bytes:
    return bytes(97 + place % 26 for place in range(start, stop))


class Source:
    """A process that writes the letters a to z over and over, to one watcher; counts what is held back."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher
        self.written = 0
        self.held = 0

    def write(self, size: int) -> None:
        data = letters(self.written, self.written + size)
        self.held += size
        delivery = Delivery(size, self._delivered)
        self.watcher.push_output(output(self.written, data), delivery)
        delivery.take()
        self.written += size

    def _delivered(self, size: int) -> None:
        self.held -= size


async def test_a_watcher_that_takes_again_after_a_stall_gets_a_gap_and_then_what_follows() -> None:
    clock = Stopwatch()
    watcher = a_watcher(clock)
    watcher.push(running())
    source = Source(watcher)
    source.write(3)
    clock.seconds += LONG
    watcher.shed_if_stalled()
    source.write(3)
    assert source.held == 0
    first = await watcher.next_batch()
    assert first is not None
    assert [(event.gap.from_offset, event.gap.to_offset) for event in first.watch.events[1:]] == [(0, 3)]
    source.write(3)
    assert await all_told(watcher) == [("gap", 3, 6), (6, b"ghi")]


async def test_a_stall_that_lasts_to_the_end_is_told_as_a_gap_before_the_end() -> None:
    clock = Stopwatch()
    watcher = a_watcher(clock)
    source = Source(watcher)
    source.write(3)
    clock.seconds += LONG
    watcher.shed_if_stalled()
    watcher.push(end(stdout=3))
    assert await all_told(watcher) == [("gap", 0, 3), ("end", "e1")]


async def test_what_is_no_output_is_never_given_up() -> None:
    clock = Stopwatch()
    watcher = a_watcher(clock)
    for name in ("e1", "e2"):
        watcher.push(running(of=name))
        watcher.push(end(of=name))
    clock.seconds += LONG
    watcher.shed_if_stalled()
    assert await all_told(watcher) == [("state", "e1"), ("end", "e1"), ("state", "e2"), ("end", "e2")]


async def test_a_watcher_that_had_nothing_to_take_has_not_stalled() -> None:
    clock = Stopwatch()
    watcher = a_watcher(clock)
    clock.seconds += LONG
    Source(watcher).write(3)
    watcher.shed_if_stalled()
    assert await all_told(watcher) == [(0, b"abc")]


async def test_just_below_the_limit_nothing_is_given_up() -> None:
    clock = Stopwatch()
    watcher = a_watcher(clock)
    Source(watcher).write(3)
    clock.seconds += STALL_SECONDS
    watcher.shed_if_stalled()
    assert await all_told(watcher) == [(0, b"abc")]


async def test_an_exact_watcher_loses_nothing_however_long_it_takes_nothing() -> None:
    clock = Stopwatch()
    watcher = a_watcher(clock, is_exact=True)
    source = Source(watcher)
    for _ in range(3):
        source.write(3)
        clock.seconds += LONG
        watcher.shed_if_stalled()
    assert source.held == 9
    assert await all_told(watcher) == [(0, b"abc"), (3, b"def"), (6, b"ghi")]


def test_a_stalled_watcher_holds_no_output_however_much_is_written() -> None:
    clock = Stopwatch()
    watcher = a_watcher(clock)
    source = Source(watcher)
    source.write(1000)
    watcher.push(running())
    clock.seconds += LONG
    watcher.shed_if_stalled()
    for _ in range(200):
        source.write(1000)
    assert source.held == 0


async def test_output_given_up_after_the_end_came_is_still_told_as_a_gap() -> None:
    clock = Stopwatch()
    watcher = a_watcher(clock)
    Source(watcher).write(3)
    watcher.push(end(stdout=3))
    clock.seconds += LONG
    watcher.shed_if_stalled()
    assert await all_told(watcher) == [("gap", 0, 3), ("end", "e1")]


async def test_output_given_up_on_both_sides_of_a_gap_is_told_once_and_in_order() -> None:
    clock = Stopwatch()
    watcher = a_watcher(clock)
    source = Source(watcher)
    source.write(3)
    source.written = 5
    source.write(3)
    clock.seconds += LONG
    watcher.shed_if_stalled()
    watcher.push(end(stdout=8))
    told = await all_told(watcher)
    assert covered(told) == list(range(8))


def covered(told: list[Told]) -> list[int]:
    """Every offset of which something was told, in the order in which it was."""
    offsets: list[int] = []
    for item in told:
        if item[0] == "gap":
            assert isinstance(item[1], int)
            assert isinstance(item[2], int)
            offsets += range(item[1], item[2])
        elif isinstance(item[0], int) and isinstance(item[1], bytes):
            offsets += range(item[0], item[0] + len(item[1]))
    return offsets


def is_what_was_written(item: Told) -> bool:
    offset, data = item[0], item[1]
    return not (isinstance(offset, int) and isinstance(data, bytes)) or data == letters(offset, offset + len(data))


STEPS = st.lists(
    st.tuples(st.just("write"), st.integers(1, 30))
    | st.tuples(st.just("lose"), st.integers(1, 30))
    | st.tuples(st.sampled_from(["wait", "take", "shed"]), st.just(0)),
    max_size=30,
)


async def play(watcher: Watcher, clock: Stopwatch, steps: list[tuple[str, int]]) -> tuple[Source, list[Told]]:
    """Let a process write, a node lose output, time pass and the watcher take; then the process ends."""
    source, told = Source(watcher), list[Told]()
    for step, size in steps:
        if step == "write":
            source.write(size)
        elif step == "lose":
            source.written += size
        elif step == "wait":
            clock.seconds += LONG
        elif step == "shed":
            watcher.shed_if_stalled()
        elif source.held:
            response = await watcher.next_batch()
            told += in_short(response.watch.events) if response else []
    watcher.push(end(stdout=source.written))
    return source, told + await all_told(watcher)


@PROPERTY
@given(steps=STEPS)
async def test_every_byte_is_told_once_and_in_order_as_output_or_as_a_gap(steps: list[tuple[str, int]]) -> None:
    clock = Stopwatch()
    source, told = await play(a_watcher(clock), clock, steps)
    assert covered(told) == list(range(source.written))
    assert source.held == 0


@PROPERTY
@given(steps=STEPS)
async def test_an_exact_watcher_gets_every_byte_that_its_node_sent(steps: list[tuple[str, int]]) -> None:
    clock = Stopwatch()
    source, told = await play(a_watcher(clock, is_exact=True), clock, steps)
    assert covered(told) == list(range(source.written))
    lost = sum(size for step, size in steps if step == "lose")
    assert sum(len(item[1]) for item in told if isinstance(item[1], bytes)) == source.written - lost
    assert all(is_what_was_written(item) for item in told)
