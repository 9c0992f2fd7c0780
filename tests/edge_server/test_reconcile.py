"""Checks what each execution needs when its node opens a session."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from edge_server.commands.domain import CORRECTABLE, Action, Circumstances, Outcome, State, reconcile

FLAGS = (False, True)
STANDINGS: list[tuple[State | None, Outcome | None]] = [
    (None, None),
    *((state, None) for state in State if state is not State.ENDED),
    *((State.ENDED, outcome) for outcome in Outcome),
]
FIVE_FLAGS: list[tuple[bool, bool, bool, bool, bool]] = list(itertools.product(FLAGS, FLAGS, FLAGS, FLAGS, FLAGS))
EVERY_CASE = [
    Circumstances(
        state=state,
        outcome=outcome,
        is_known=known,
        is_ended_there=known and ended,
        is_cancelled=cancelled,
        may_wait=waits,
        is_recent=recent,
    )
    for state, outcome in STANDINGS
    for known, ended, cancelled, waits, recent in FIVE_FLAGS
]
SENT = Circumstances(
    state=State.SENT,
    outcome=None,
    is_known=False,
    is_ended_there=False,
    is_cancelled=False,
    may_wait=False,
    is_recent=True,
)


@pytest.mark.parametrize("found", [case for case in EVERY_CASE if case.is_known])
def test_what_the_node_knows_is_reported_or_if_it_is_over_here_brought_to_an_end(found: Circumstances) -> None:
    action = reconcile(found)
    if found.state in {State.PENDING, State.SENT, State.RUNNING}:
        assert action is Action.RESUME
    elif found.outcome is Outcome.LOST:
        is_running_unwanted = found.is_cancelled and not found.is_ended_there
        assert action is (Action.STOP if is_running_unwanted else Action.COLLECT)
    else:
        assert action is (Action.ACKNOWLEDGE if found.is_ended_there else Action.STOP)


@pytest.mark.parametrize(
    ("found", "action"),
    [
        (SENT, Action.RESEND),
        (replace(SENT, is_recent=False), Action.FIND_OFFLINE),
        (replace(SENT, may_wait=True), Action.RETURN),
        (replace(SENT, may_wait=True, is_recent=False), Action.RETURN),
        (replace(SENT, is_cancelled=True), Action.WITHHOLD),
        (replace(SENT, is_cancelled=True, may_wait=True), Action.WITHHOLD),
        (replace(SENT, is_cancelled=True, is_recent=False), Action.WITHHOLD),
        (replace(SENT, state=State.RUNNING), Action.LOSE),
        (replace(SENT, state=State.RUNNING, is_cancelled=True, is_recent=False), Action.LOSE),
        (replace(SENT, state=State.PENDING), Action.LEAVE),
        (replace(SENT, state=State.PENDING, is_cancelled=True), Action.LEAVE),
        (replace(SENT, state=State.ENDED, outcome=Outcome.LOST), Action.LEAVE),
        (replace(SENT, state=State.ENDED, outcome=Outcome.OK), Action.LEAVE),
        (replace(SENT, state=None), Action.LEAVE),
    ],
)
def test_what_the_node_does_not_know_is_sent_again_only_when_it_never_arrived_and_is_still_wanted(
    found: Circumstances, action: Action
) -> None:
    assert reconcile(found) is action


@pytest.mark.parametrize("found", EVERY_CASE)
def test_nothing_is_started_that_the_node_knows_or_that_ran_or_ended(found: Circumstances) -> None:
    action = reconcile(found)
    if action in {Action.RESEND, Action.RETURN}:
        assert (found.state, found.is_known, found.is_cancelled) == (State.SENT, False, False)
    if action is Action.LOSE:
        assert (found.state, found.is_known) == (State.RUNNING, False)
    if action is Action.COLLECT:
        assert found.outcome in CORRECTABLE
