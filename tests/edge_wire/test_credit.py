"""Checks credit: what may be under way is bounded, never shrinks, never stalls, and grows for a bulky execution."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_wire.credit import INITIAL_WINDOW, SHARED, CreditBudget, CreditWindow, share_of

KIB = 1024
MIB = 1024 * KIB


def test_the_first_grant_is_64_kib() -> None:
    assert CreditWindow().granted == 64 * KIB


def test_a_small_budget_bounds_the_first_grant_too() -> None:
    assert CreditWindow(largest=KIB).granted == KIB


def test_a_few_drained_bytes_are_not_worth_a_frame() -> None:
    window = CreditWindow()
    window.receive(32 * KIB)
    assert window.drain(32 * KIB - 1) is None
    assert window.granted == 64 * KIB


def test_half_a_drained_window_is_granted_anew() -> None:
    window = CreditWindow()
    window.receive(32 * KIB)
    assert window.drain(32 * KIB) == 96 * KIB
    assert window.granted == 96 * KIB


def test_bytes_that_arrive_and_stay_grant_nothing() -> None:
    window = CreditWindow()
    window.receive(64 * KIB)
    assert window.granted == 64 * KIB
    assert not window.is_overrun


def test_more_than_was_granted_is_an_overrun() -> None:
    window = CreditWindow()
    window.receive(64 * KIB)
    window.receive(1)
    assert window.is_overrun


def test_a_window_that_was_used_up_and_drained_at_once_doubles_up_to_4_mib() -> None:
    window = CreditWindow()
    under_way: list[int] = []
    for _ in range(8):
        size = window.granted - sum(under_way)
        under_way.append(size)
        window.receive(size)
        assert window.drain(size) is not None
    assert under_way == [64 * KIB, 128 * KIB, 256 * KIB, 512 * KIB, MIB, 2 * MIB, 4 * MIB, 4 * MIB]


@pytest.mark.parametrize("frame", [16 * KIB, 64 * KIB])
def test_a_bulky_execution_that_comes_in_frames_gets_the_largest_window(frame: int) -> None:
    window = CreditWindow()
    for _ in range(64 * MIB // frame):
        window.receive(frame)
        window.drain(frame)
    received = 64 * MIB
    assert not window.is_overrun
    assert window.granted - received > 2 * MIB


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 300 * KIB)), st.integers(1, 4 * MIB))
def test_an_obedient_sender_is_never_stuck_and_never_has_more_under_way_than_the_budget(
    sizes: list[int], largest: int
) -> None:
    window = CreditWindow(largest=largest)
    received = 0
    for wanted in sizes:
        before = window.granted
        size = min(wanted, window.granted - received)
        assert size > 0
        window.receive(size)
        received += size
        total = window.drain(size)
        assert window.granted == (before if total is None else total)
        assert window.granted >= before
        assert window.granted - received <= largest
        assert not window.is_overrun


class Bulky:
    """An execution that sends all that it may."""

    def __init__(self, budget: CreditBudget) -> None:
        self.window = CreditWindow(budget=budget)
        self.sent = 0

    def go_on(self) -> int:
        """Send all and have it drained, over and over; returns what may be under way then."""
        for _ in range(12):
            size = self.window.granted - self.sent
            self.window.receive(size)
            self.sent += size
            self.window.drain(size)
        return self.window.granted - self.sent


@pytest.mark.parametrize(
    ("bulky", "each"), [(1, 4 * MIB), (4, 4 * MIB), (20, SHARED // 20), (50, SHARED // 50), (100, 256 * KIB)]
)
def test_bulky_executions_share_a_budget_and_each_gets_the_same(bulky: int, each: int) -> None:
    budget = CreditBudget()
    executions = [Bulky(budget) for _ in range(bulky)]
    for execution in executions:
        execution.go_on()
    assert [execution.go_on() for execution in executions] == [each] * bulky


def test_executions_that_write_little_take_nothing_from_the_bulky_ones() -> None:
    budget = CreditBudget()
    quiet = [CreditWindow(budget=budget) for _ in range(1000)]
    for window in quiet:
        window.receive(100)
        window.drain(100)
    assert Bulky(budget).go_on() == 4 * MIB


def test_what_an_execution_that_is_over_had_goes_to_the_others() -> None:
    budget = CreditBudget()
    executions = [Bulky(budget) for _ in range(16)]
    assert [execution.go_on() for execution in executions][-1] == MIB
    del executions[1:]
    assert executions[0].go_on() == 4 * MIB


@given(st.integers(0, 20_000))
def test_a_share_is_useful_as_long_as_all_shares_are_256_mib_and_never_below_the_first_window(count: int) -> None:
    share = share_of(count)
    assert INITIAL_WINDOW <= share <= 4 * MIB
    assert share >= 256 * KIB or count * 256 * KIB > 256 * MIB
    assert share == INITIAL_WINDOW or share * count <= 256 * MIB


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 300 * KIB))))
def test_whoever_shares_a_budget_is_never_stuck(steps: list[tuple[int, int]]) -> None:
    budget = CreditBudget()
    windows = [CreditWindow(budget=budget) for _ in range(41)]
    received = [0] * len(windows)
    for number, wanted in steps:
        window = windows[number]
        size = min(wanted, window.granted - received[number])
        assert size > 0
        window.receive(size)
        received[number] += size
        before = window.granted
        window.drain(size)
        assert before <= window.granted <= received[number] + 4 * MIB
