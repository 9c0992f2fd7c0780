"""Checks what is kept of a command: bytes that come twice are cut, missing ones become gaps, nothing goes back."""

from __future__ import annotations

import pytest

from edge_wire.errors import Internal
from edge_wire.v1 import command_pb2 as pb
from edgectl.execution.tally import OUTCOMES, Tally
from tests.edgectl.unit.events import (
    COMMAND,
    DB,
    STDERR,
    STDOUT,
    WEB,
    contact,
    ended,
    exited,
    gap,
    no_contact,
    ok,
    output,
    says,
    state,
    tally_of,
)


def taken(tally: Tally, *events: pb.CommandEvent) -> list[pb.CommandEvent]:
    return [happening.event for happening in tally.take(says(*events))]


def test_bytes_in_order_pass_as_they_are() -> None:
    events = [output(b"one\n"), output(b"two\n", at=4), output(b"oops\n", stream=STDERR)]
    assert taken(tally_of(WEB), *events) == events


def test_bytes_that_came_before_are_dropped() -> None:
    tally = tally_of(WEB)
    taken(tally, output(b"one\ntwo\n"))
    assert taken(tally, output(b"one\n"), output(b"two\n", at=4), output(b"one\ntwo\n")) == []


def test_bytes_that_came_in_part_are_cut_to_what_is_new() -> None:
    tally = tally_of(WEB)
    taken(tally, output(b"one\n"))
    assert taken(tally, output(b"e\ntwo\n", at=2)) == [output(b"two\n", at=4)]


def test_what_was_cut_keeps_its_time() -> None:
    tally = tally_of(WEB)
    taken(tally, output(b"on"))
    event = output(b"one\n")
    event.time.seconds = 7
    assert [found.time.seconds for found in taken(tally, event)] == [7]


def test_bytes_that_are_missing_without_a_word_become_a_gap() -> None:
    tally = tally_of(WEB)
    assert taken(tally, output(b"two\n", at=4)) == [gap(0, 4), output(b"two\n", at=4)]
    assert tally.standings["x-web"].has_gap


def test_a_gap_that_the_admin_tells_is_passed_on_and_counted() -> None:
    tally = tally_of(WEB)
    assert taken(tally, output(b"one\n"), gap(4, 10), output(b"end\n", at=10)) == [
        output(b"one\n"),
        gap(4, 10),
        output(b"end\n", at=10),
    ]
    assert tally.standings["x-web"].has_gap


def test_a_gap_where_bytes_are_known_is_cut_or_dropped() -> None:
    tally = tally_of(WEB)
    taken(tally, output(b"0123456789"))
    assert taken(tally, gap(0, 10)) == []
    assert not tally.standings["x-web"].has_gap
    assert taken(tally, gap(5, 20)) == [gap(10, 20)]


def test_a_gap_that_begins_too_late_covers_the_bytes_before_it_too() -> None:
    assert taken(tally_of(WEB), output(b"0123"), gap(6, 10)) == [output(b"0123"), gap(4, 10)]


def test_bytes_that_are_missing_at_the_end_become_a_gap() -> None:
    end = ended(ok(stdout_bytes=10))
    assert taken(tally_of(WEB), output(b"0123"), end) == [output(b"0123"), gap(4, 10), end]


def test_stdout_and_stderr_and_the_nodes_are_counted_apart() -> None:
    tally = tally_of(WEB, DB)
    events = [output(b"12"), output(b"123", stream=STDERR), output(b"1", of=DB)]
    assert taken(tally, *events) == events
    assert tally.cursors() == [
        pb.ExecutionCursor(execution_id="x-web", stdout_offset=2, stderr_offset=3),
        pb.ExecutionCursor(execution_id="x-db", stdout_offset=1),
    ]


def test_a_cursor_stands_behind_a_gap_and_knows_of_an_end() -> None:
    tally = tally_of(WEB)
    taken(tally, gap(0, 100), output(b"12", at=100), ended(ok(stdout_bytes=102)))
    assert tally.cursors() == [pb.ExecutionCursor(execution_id="x-web", stdout_offset=102, ended=True)]


def test_a_state_never_goes_back() -> None:
    tally = tally_of(WEB)
    running = state(pb.EXECUTION_STATE_RUNNING)
    assert taken(tally, running, state(pb.EXECUTION_STATE_SENT), running) == [running]
    assert tally.standings["x-web"].state == pb.EXECUTION_STATE_RUNNING


def test_nothing_follows_an_end() -> None:
    tally = tally_of(WEB)
    first = ended(exited(3))
    assert taken(tally, first, ended(ok()), state(pb.EXECUTION_STATE_RUNNING), output(b"late"), no_contact()) == [first]
    assert tally.standings["x-web"].state == pb.EXECUTION_STATE_ENDED
    assert tally.standings["x-web"].outcome == "failed"


def test_a_node_out_of_contact_comes_back() -> None:
    tally = tally_of(WEB)
    taken(tally, no_contact())
    assert tally.standings["x-web"].outcome == "no_contact"
    taken(tally, contact())
    assert tally.standings["x-web"].outcome is None


def test_nothing_is_settled_before_the_command_is_accepted() -> None:
    tally = Tally()
    assert not tally.is_accepted
    assert not tally.is_settled


def test_it_is_settled_when_each_node_ended_or_is_out_of_contact() -> None:
    tally = tally_of(WEB, DB)
    taken(tally, ended(ok()))
    assert not tally.is_settled
    taken(tally, no_contact(of=DB))
    assert tally.is_settled
    assert not tally.has_every_end
    taken(tally, contact(of=DB))
    assert not tally.is_settled
    taken(tally, ended(exited(1), of=DB))
    assert tally.has_every_end


def test_it_is_finished_only_by_the_last_word() -> None:
    tally = tally_of(WEB)
    taken(tally, ended(ok()))
    assert not tally.is_finished
    tally.take(says(is_finished=True))
    assert tally.is_finished


def test_the_counts_name_every_outcome_and_leave_open_ones_out() -> None:
    tally = tally_of(WEB, DB)
    taken(tally, ended(exited(1)))
    assert tally.counts() == {**dict.fromkeys(OUTCOMES, 0), "total": 2, "failed": 1}
    assert [item.target.node_name for item in tally.open_standings()] == ["db-1"]


def test_every_outcome_of_the_protocol_has_its_place_in_the_counts() -> None:
    words = {name.removeprefix("OUTCOME_").lower() for name in pb.Outcome.keys()} - {"unspecified"}  # noqa: SIM118
    assert set(OUTCOMES) == words | {"no_contact"}


def test_being_accepted_again_forgets_nothing() -> None:
    tally = tally_of(WEB)
    taken(tally, output(b"one\n"))
    tally.take(says(accepted=[WEB]))
    assert taken(tally, output(b"one\n")) == []
    assert tally.command_id == COMMAND


def test_another_command_or_an_unknown_execution_makes_no_sense() -> None:
    tally = tally_of(WEB)
    other = pb.WatchCommandResponse(accepted=pb.CreateCommandResponse(command_id="c-2"))
    with pytest.raises(Internal, match="another command"):
        tally.take(other)
    with pytest.raises(Internal, match="not part of this command"):
        taken(tally, output(b"x", of=DB, stream=STDOUT))
