"""The pacer over literal rows and over made-up fleets: batches, pauses, errors, deadlines and queues."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_server.commands.domain import ExecutionId, Outcome, State
from edge_server.commands.pacing import PacedRow, PaceOptions, Portion, StopReason, decide
from tests.edge_server.fleet import NOON, PROPERTY

SECOND = timedelta(seconds=1)
ALL = Portion(percent=100)
KINDS = {
    "p": (State.PENDING, None),
    "q": (State.PENDING, None),
    "r": (State.RUNNING, None),
    "k": (State.ENDED, Outcome.OK),
    "f": (State.ENDED, Outcome.FAILED),
    "t": (State.ENDED, Outcome.TIMED_OUT),
    "l": (State.ENDED, Outcome.LOST),
    "o": (State.ENDED, Outcome.OFFLINE),
    "c": (State.ENDED, Outcome.CANCELLED),
}
"""Pending, queued, running, ok, failed, timed out, lost, offline, cancelled."""


def rows(text: str, *, reachable: str = "", ended_at: datetime = NOON) -> list[PacedRow]:
    """One row per letter, e0, e1, …; queued ones wait since noon, and only the named ones have a session again."""
    return [
        PacedRow(
            id=ExecutionId(f"e{place}"),
            state=KINDS[letter][0],
            outcome=KINDS[letter][1],
            ended_at=ended_at if KINDS[letter][0] is State.ENDED else None,
            queued_at=NOON if letter == "q" else None,
            is_reachable=letter != "q" or f"e{place}" in reachable.split(),
        )
        for place, letter in enumerate(text)
    ]


@pytest.mark.parametrize(
    ("text", "started"),
    [
        ("pppppp", "e0 e1"),
        ("kpppp", "e1"),
        ("krpppp", ""),
        ("kfpppp", "e2 e3"),
        ("kokkpp", "e4 e5"),
        ("rrpp", ""),
        ("kqpppp", "e2 e3"),
        ("kk", ""),
        ("kkp", "e2"),
    ],
)
def test_a_batch_starts_when_the_one_before_is_over_and_queued_ones_hold_up_nobody(text: str, started: str) -> None:
    options = PaceOptions(fanout=ALL, batch=Portion(count=2))
    assert list(decide(rows(text), options, NOON).start) == started.split()


def test_a_batch_may_be_a_share_of_the_targets() -> None:
    options = PaceOptions(fanout=ALL, batch=Portion(percent=30))
    assert list(decide(rows("p" * 10), options, NOON).start) == ["e0", "e1", "e2"]


def test_the_next_batch_waits_for_the_pause_and_says_when_to_ask_again() -> None:
    options = PaceOptions(fanout=ALL, batch=Portion(count=2), pause=30 * SECOND)
    before = decide(rows("kkpp"), options, NOON + 29 * SECOND)
    assert (before.start, before.again_at) == ([], NOON + 30 * SECOND)
    assert list(decide(rows("kkpp"), options, NOON + 30 * SECOND).start) == ["e2", "e3"]


def test_a_late_end_of_a_queued_one_does_not_begin_the_pause_again() -> None:
    late = rows("kkpp")
    late[0] = PacedRow(
        id=late[0].id, state=State.ENDED, outcome=Outcome.OK, ended_at=NOON + 50 * SECOND, queued_at=NOON
    )
    options = PaceOptions(fanout=ALL, batch=Portion(count=2), pause=30 * SECOND)
    assert list(decide(late, options, NOON + 51 * SECOND).start) == ["e2", "e3"]


def test_a_fanout_caps_a_batch_too() -> None:
    options = PaceOptions(fanout=Portion(count=2), batch=Portion(count=4))
    assert list(decide(rows("pppppp"), options, NOON).start) == ["e0", "e1"]
    assert list(decide(rows("krpppp"), options, NOON).start) == ["e2"]


@pytest.mark.parametrize(
    ("limit", "text", "is_over"),
    [
        (Portion(count=0), "kkpp", False),
        (Portion(count=0), "fkpp", True),
        (Portion(count=1), "fkpp", False),
        (Portion(count=1), "ftpp", True),
        (Portion(count=1), "flpp", True),
        (Portion(count=1), "focp", False),
        (Portion(percent=0), "fkpp", True),
        (Portion(percent=25), "fkpp", False),
        (Portion(percent=25), "ffpp", True),
        (Portion(percent=33), "fpp", True),
        (Portion(percent=34), "fpp", False),
        (Portion(percent=100), "ffffp", False),
    ],
)
def test_more_errors_than_allowed_over_the_whole_command_start_nothing_more(
    limit: Portion, text: str, is_over: bool
) -> None:
    decision = decide(rows(text), PaceOptions(fanout=ALL, max_errors=limit), NOON)
    assert decision.stop_reason is (StopReason.MAX_ERRORS if is_over else None)
    assert list(decision.withhold if is_over else decision.start) == [
        f"e{place}" for place, letter in enumerate(text) if letter == "p"
    ]


def test_at_the_deadline_nothing_starts_and_before_it_is_waited_for() -> None:
    options = PaceOptions(fanout=Portion(count=1), deadline_at=NOON + 60 * SECOND)
    before = decide(rows("rpq"), options, NOON)
    assert (before.start, before.withhold, before.again_at) == ([], (), NOON + 60 * SECOND)
    at = decide(rows("rpq"), options, NOON + 60 * SECOND)
    assert (at.start, at.withhold, at.stop_reason) == ((), ["e1", "e2"], StopReason.DEADLINE)


def test_a_cancel_wins_over_every_other_reason() -> None:
    options = PaceOptions(fanout=ALL, max_errors=Portion(count=0), deadline_at=NOON, is_cancelled=True)
    assert decide(rows("fp"), options, NOON).stop_reason is StopReason.CANCELLED


def test_a_queued_one_starts_when_its_node_is_back_before_those_whose_turn_comes_later() -> None:
    options = PaceOptions(fanout=Portion(count=2), batch=Portion(count=2))
    assert list(decide(rows("qqpp"), options, NOON).start) == ["e2", "e3"]
    assert list(decide(rows("qqpp", reachable="e1"), options, NOON).start) == ["e1", "e2"]
    assert list(decide(rows("qqrr", reachable="e0"), options, NOON).start) == []


def test_a_queued_one_expires_after_its_time_and_not_before() -> None:
    options = PaceOptions(fanout=ALL, expires=60 * SECOND)
    before = decide(rows("qk"), options, NOON + 59 * SECOND)
    assert (before.expire, before.again_at) == ([], NOON + 60 * SECOND)
    at = decide(rows("qk", reachable="e0"), options, NOON + 60 * SECOND)
    assert (at.expire, at.start) == (["e0"], [])


@PROPERTY
@given(
    outcomes=st.lists(st.sampled_from([Outcome.OK, Outcome.FAILED, Outcome.OFFLINE]), min_size=1, max_size=40),
    fanout=st.integers(1, 12),
    batch=st.none() | st.integers(1, 12),
    max_errors=st.none()
    | st.builds(Portion, count=st.integers(0, 6))
    | st.builds(Portion, percent=st.integers(0, 100)),
    random=st.randoms(use_true_random=False),
)
def test_no_fleet_exceeds_fanout_batch_or_errors_whenever_the_pacer_is_asked(
    outcomes: list[Outcome], fanout: int, batch: int | None, max_errors: Portion | None, random: Random
) -> None:
    """Against a naive count of what is under way; the pacer has no memory, so it may as well be another admin's."""
    options = PaceOptions(
        fanout=Portion(count=fanout), batch=Portion(count=batch) if batch else None, max_errors=max_errors
    )
    states = [State.PENDING] * len(outcomes)
    ended: dict[int, Outcome] = {}
    while State.ENDED in states or State.PENDING in states or State.RUNNING in states:
        now_rows = [
            PacedRow(id=ExecutionId(str(place)), state=state, outcome=ended.get(place), ended_at=NOON)
            for place, state in enumerate(states)
        ]
        decision = decide(now_rows, options, NOON)
        errors = sum(outcome is Outcome.FAILED for outcome in ended.values())
        if decision.start:
            assert max_errors is None or not max_errors.is_exceeded_by(errors, len(outcomes))
        for name in decision.start:
            place = int(name)
            assert not batch or all(states[early] is State.ENDED for early in range(place // batch * batch))
            states[place] = State.RUNNING
        for name in decision.withhold:
            states[int(name)], ended[int(name)] = State.ENDED, Outcome.NOT_STARTED
        running = [place for place, state in enumerate(states) if state is State.RUNNING]
        assert len(running) <= fanout
        if not running:
            break
        place = random.choice(running)
        states[place], ended[place] = State.ENDED, outcomes[place]
    assert set(states) == {State.ENDED}
    failed = sum(outcome is Outcome.FAILED for outcome in ended.values())
    was_stopped = Outcome.NOT_STARTED in ended.values()
    assert was_stopped <= (max_errors is not None and max_errors.is_exceeded_by(failed, len(outcomes)))
