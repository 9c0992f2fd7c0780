"""Checks the life of an execution: which event leads where, the pacer, and what happens when a node comes back."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_server.commands.domain import (
    CORRECTABLE,
    TRANSITIONS,
    Event,
    ExecutionId,
    Outcome,
    State,
    count_outcomes,
    dropped_outcome,
    sources,
)
from edge_server.commands.pacing import PacedRow, PaceOptions, Portion, decide
from tests.edge_server.fleet import NOON, PROPERTY

PENDING, SENT, RUNNING, ENDED = State.PENDING, State.SENT, State.RUNNING, State.ENDED

FROM = (PENDING, SENT, RUNNING, ENDED)
LEADS_TO: dict[Event, tuple[State | None, ...]] = {
    # from              PENDING  SENT     RUNNING  ENDED
    Event.QUEUE: (PENDING, None, None, None),
    Event.EXPIRE: (ENDED, None, None, None),
    Event.SEND: (SENT, None, None, None),
    Event.START: (RUNNING, RUNNING, None, None),
    Event.REPORT: (ENDED, ENDED, ENDED, None),
    Event.RESEND: (None, SENT, None, None),
    Event.FIND_OFFLINE: (ENDED, None, None, None),
    Event.WITHHOLD: (ENDED, None, None, None),
    Event.MISS: (None, ENDED, None, None),
    Event.DROP: (ENDED, ENDED, ENDED, None),
    Event.LOSE: (None, None, ENDED, None),
    Event.RETURN: (None, PENDING, None, None),
    Event.CORRECT: (None, None, None, ENDED),
}


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", State)
def test_each_event_leads_from_each_state_to_one_state_or_nowhere(state: State, event: Event) -> None:
    assert TRANSITIONS.get((state, event)) == LEADS_TO[event][FROM.index(state)]


def test_the_guard_of_an_update_is_every_state_that_the_event_may_leave() -> None:
    assert sources(Event.SEND) == {PENDING}
    assert sources(Event.REPORT) == {PENDING, SENT, RUNNING}
    assert sources(Event.LOSE) == {RUNNING}


@pytest.mark.parametrize("event", Event)
def test_an_event_leads_to_the_same_state_from_wherever_it_may_leave(event: Event) -> None:
    assert len({target for (_, happened), target in TRANSITIONS.items() if happened is event}) == 1


@pytest.mark.parametrize("reported", Outcome)
@pytest.mark.parametrize("stored", Outcome)
def test_late_evidence_replaces_only_what_said_that_the_end_is_not_known(stored: Outcome, reported: Outcome) -> None:
    may_be_corrected = reported in CORRECTABLE.get(stored, ())
    how_a_node_knows = {Outcome.OK, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CANCELLED}
    assert may_be_corrected == (stored is Outcome.LOST and reported in how_a_node_knows)


def test_deleting_a_node_drops_what_was_never_handed_over_and_loses_the_rest() -> None:
    assert dropped_outcome(PENDING) is Outcome.DROPPED
    assert dropped_outcome(SENT) is Outcome.LOST
    assert dropped_outcome(RUNNING) is Outcome.LOST


@pytest.mark.parametrize(
    ("fanout", "targets", "limit"),
    [
        (Portion(count=3), 10, 3),
        (Portion(), 1000, 64),
        (Portion(percent=50), 10, 5),
        (Portion(percent=50), 5, 3),
        (Portion(percent=1), 10, 1),
        (Portion(percent=100), 7, 7),
    ],
)
def test_a_fanout_is_a_number_of_executions_rounded_up(fanout: Portion, targets: int, limit: int) -> None:
    assert fanout.limit(targets) == limit


def rows(*states: State) -> list[PacedRow]:
    return [PacedRow(id=ExecutionId(f"e{place}"), state=state) for place, state in enumerate(states)]


TWO_AT_ONCE = PaceOptions(fanout=Portion(count=2))


@pytest.mark.parametrize(
    ("states", "started"),
    [
        ((PENDING, PENDING, PENDING), ["e0", "e1"]),
        ((SENT, PENDING, PENDING), ["e1"]),
        ((SENT, RUNNING, PENDING), []),
        ((ENDED, RUNNING, PENDING, PENDING), ["e2"]),
        ((RUNNING, RUNNING, RUNNING, PENDING), []),
        ((ENDED, ENDED), []),
        ((), []),
    ],
)
def test_the_pacer_starts_what_fits_in_frozen_order(states: tuple[State, ...], started: list[str]) -> None:
    decision = decide(rows(*states), TWO_AT_ONCE, NOON)
    assert (decision.start, decision.withhold) == (started, ())


def test_after_a_cancel_nothing_starts_and_all_that_is_pending_is_withheld() -> None:
    decision = decide(
        rows(RUNNING, PENDING, ENDED, PENDING), PaceOptions(fanout=Portion(count=9), is_cancelled=True), NOON
    )
    assert (decision.start, decision.withhold) == ((), ["e1", "e3"])


def test_outcomes_are_counted_and_open_executions_count_in_the_total_only() -> None:
    assert count_outcomes([Outcome.OK, Outcome.OK, Outcome.OFFLINE, None]) == {"total": 4, "ok": 2, "offline": 1}


class Fleet:
    """Executions on nodes, some of them offline: hands out what the pacer says and counts what is under way."""

    def __init__(self, *, is_offline: list[bool], options: PaceOptions) -> None:
        self.states = dict.fromkeys(range(len(is_offline)), PENDING)
        self.outcomes: dict[int, Outcome] = {}
        self.options = options
        self._is_offline = is_offline

    @property
    def under_way(self) -> list[int]:
        return [place for place, state in self.states.items() if state in {SENT, RUNNING}]

    def pump(self) -> None:
        while True:
            decision = decide(rows(*self.states.values()), self.options, NOON)
            for name in decision.withhold:
                self.happen(int(name[1:]), Event.WITHHOLD, Outcome.NOT_STARTED)
            for name in decision.start:
                self._start(int(name[1:]))
            assert len(self.under_way) <= self.options.fanout.limit(len(self.states))
            if not decision.start:
                return

    def happen(self, place: int, event: Event, outcome: Outcome | None = None) -> None:
        self.states[place] = TRANSITIONS[self.states[place], event]
        if outcome is not None:
            assert place not in self.outcomes
            self.outcomes[place] = outcome

    def _start(self, place: int) -> None:
        if self._is_offline[place]:
            self.happen(place, Event.FIND_OFFLINE, Outcome.OFFLINE)
        else:
            self.happen(place, Event.SEND)


@PROPERTY
@given(
    is_offline=st.lists(st.booleans(), max_size=40),
    fanout=st.builds(Portion, count=st.integers(1, 50)) | st.builds(Portion, percent=st.integers(1, 100)),
    cancel_after=st.none() | st.integers(0, 40),
    random=st.randoms(use_true_random=False),
)
def test_a_fanout_is_never_exceeded_and_every_execution_ends_once(
    is_offline: list[bool], fanout: Portion, cancel_after: int | None, random: Random
) -> None:
    fleet = Fleet(is_offline=is_offline, options=PaceOptions(fanout=fanout))
    fleet.pump()
    steps = 0
    while fleet.under_way:
        if steps == cancel_after:
            fleet.options = PaceOptions(fanout=fanout, is_cancelled=True)
        place = random.choice(fleet.under_way)
        if fleet.states[place] is SENT and random.random() < 0.5:
            fleet.happen(place, Event.START)
        else:
            fleet.happen(place, Event.REPORT, Outcome.OK)
        fleet.pump()
        steps += 1
    assert set(fleet.states.values()) <= {ENDED}
    ended = Counter(fleet.outcomes.values())
    assert ended.total() == len(is_offline)
    assert {place for place, outcome in fleet.outcomes.items() if outcome is Outcome.OFFLINE} <= {
        place for place, away in enumerate(is_offline) if away
    }
    if cancel_after is None:
        assert ended[Outcome.OFFLINE] == is_offline.count(True)
        assert ended[Outcome.NOT_STARTED] == 0
