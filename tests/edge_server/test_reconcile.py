"""Checks what each execution needs when its node opens a session."""

from __future__ import annotations

import itertools

import pytest

from edge_server.commands.domain import Action, State, reconcile

STATES: tuple[State | None, ...] = (None, *State)
FLAGS = (False, True)
EVERY_CASE = list(itertools.product(STATES, FLAGS, FLAGS, FLAGS, FLAGS))


@pytest.mark.parametrize(
    ("state", "is_ended_there", "action"),
    [
        (None, False, Action.STOP),
        (None, True, Action.ACKNOWLEDGE),
        (State.ENDED, False, Action.STOP),
        (State.ENDED, True, Action.ACKNOWLEDGE),
        (State.PENDING, False, Action.RESUME),
        (State.PENDING, True, Action.RESUME),
        (State.SENT, False, Action.RESUME),
        (State.SENT, True, Action.RESUME),
        (State.RUNNING, False, Action.RESUME),
        (State.RUNNING, True, Action.RESUME),
    ],
)
@pytest.mark.parametrize("is_cancelled", FLAGS)
@pytest.mark.parametrize("is_recent", FLAGS)
def test_what_the_node_knows_is_reported_or_if_it_is_over_here_brought_to_an_end(
    state: State | None, is_ended_there: bool, action: Action, is_cancelled: bool, is_recent: bool
) -> None:
    decided = reconcile(
        state, is_known=True, is_ended_there=is_ended_there, is_cancelled=is_cancelled, is_recent=is_recent
    )
    assert decided is action


@pytest.mark.parametrize(
    ("state", "is_cancelled", "is_recent", "action"),
    [
        (State.SENT, False, True, Action.RESEND),
        (State.SENT, False, False, Action.FIND_OFFLINE),
        (State.SENT, True, True, Action.WITHHOLD),
        (State.SENT, True, False, Action.WITHHOLD),
        (State.RUNNING, False, True, Action.LOSE),
        (State.RUNNING, True, False, Action.LOSE),
        (State.PENDING, False, True, Action.LEAVE),
        (State.PENDING, True, False, Action.LEAVE),
        (State.ENDED, False, True, Action.LEAVE),
        (None, False, True, Action.LEAVE),
    ],
)
def test_what_the_node_does_not_know_is_sent_again_only_when_it_never_arrived_and_is_still_wanted(
    state: State | None, is_cancelled: bool, is_recent: bool, action: Action
) -> None:
    decided = reconcile(state, is_known=False, is_ended_there=False, is_cancelled=is_cancelled, is_recent=is_recent)
    assert decided is action


@pytest.mark.parametrize(("state", "is_known", "is_ended_there", "is_cancelled", "is_recent"), EVERY_CASE)
def test_nothing_is_started_that_the_node_knows_or_that_ran_or_ended(
    state: State | None, is_known: bool, is_ended_there: bool, is_cancelled: bool, is_recent: bool
) -> None:
    action = reconcile(
        state, is_known=is_known, is_ended_there=is_ended_there, is_cancelled=is_cancelled, is_recent=is_recent
    )
    if action is Action.RESEND:
        assert (state, is_known, is_cancelled, is_recent) == (State.SENT, False, False, True)
    if action is Action.LOSE:
        assert (state, is_known) == (State.RUNNING, False)
