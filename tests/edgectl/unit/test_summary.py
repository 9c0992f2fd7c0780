"""Checks the last lines for people: who did not end well and why, then the counts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from edge_wire.v1 import command_pb2 as pb
from edgectl.execution.tally import Tally
from edgectl.views.summary import counts_line, lines, one_node_lines
from edgectl.views.view import Result
from tests.edgectl.unit.events import (
    DB,
    WEB,
    ended,
    exited,
    gap,
    killed,
    no_contact,
    ok,
    result_of,
    says,
    standing,
    tally_of,
)

FAILED = pb.OUTCOME_FAILED


def after(*events: pb.CommandEvent, targets: tuple[pb.Target, ...] = (WEB, DB)) -> Tally:
    tally = tally_of(*targets)
    tally.take(says(*events))
    return tally


def fleet(count: int) -> tuple[pb.Target, ...]:
    return tuple(pb.Target(execution_id=f"x{number}", node_name=f"edge{number:02}") for number in range(1, count + 1))


def test_a_good_end_is_one_line_with_the_usual_counts() -> None:
    tally = after(ended(ok()), ended(ok(), of=DB))
    assert lines(result_of(tally)) == ["2 ok · 0 failed · 0 offline · 0.21 s · command 9f3c1d20"]


def test_rarer_outcomes_are_counted_only_when_they_happened() -> None:
    counts = {**tally_of().counts(), "total": 12, "ok": 7, "timed_out": 1, "no_contact": 2, "not_started": 1, "lost": 1}
    result = Result(
        command_id="9f3c1d20-0000",
        counts=counts,
        standings=[],
        exit_code=4,
        elapsed=timedelta(minutes=1, milliseconds=1),
    )
    assert counts_line(result) == (
        "7 ok · 0 failed · 1 timed_out · 0 offline · 2 no_contact · 1 not_started · 1 lost · 60.00 s · command 9f3c1d20"
    )


def test_what_goes_on_is_counted_as_still_open() -> None:
    assert lines(result_of(after(ended(ok())))) == [
        "not finished: db-1",
        "1 ok · 0 failed · 0 offline · 1 still open · 0.21 s · command 9f3c1d20",
    ]


@pytest.mark.parametrize(
    ("end", "line"),
    [
        (exited(3), "failed (exit 3): web-1"),
        (killed("SIGKILL"), "failed (SIGKILL): web-1"),
        (
            pb.ExecutionEnd(outcome=FAILED, error_code="program_not_found", error_message="no such program: x"),
            "failed (no such program: x): web-1",
        ),
        (
            pb.ExecutionEnd(outcome=FAILED, error_message="two\nlines\x1b[m", exit_code=1),
            r"failed (two\nlines\x1b[m): web-1",
        ),
        (pb.ExecutionEnd(outcome=pb.OUTCOME_TIMED_OUT, signal="SIGTERM"), "timed_out (SIGTERM): web-1"),
        (pb.ExecutionEnd(outcome=pb.OUTCOME_OFFLINE), "offline: web-1"),
        (
            pb.ExecutionEnd(outcome=pb.OUTCOME_OFFLINE, error_code="node_offline", error_message="gone"),
            "offline: web-1",
        ),
        (pb.ExecutionEnd(outcome=pb.OUTCOME_NOT_STARTED), "not_started: web-1"),
    ],
)
def test_who_did_not_end_well_is_named_with_the_reason(end: pb.ExecutionEnd, line: str) -> None:
    assert lines(result_of(after(ended(end), targets=(WEB,))))[:-1] == [line]


def test_a_node_out_of_contact_is_named() -> None:
    assert lines(result_of(after(no_contact(), ended(ok(), of=DB))))[0] == "no_contact: web-1"


def test_nodes_with_the_same_reason_share_a_line() -> None:
    tally = after(ended(exited(1)), ended(exited(1), of=DB))
    assert lines(result_of(tally))[:-1] == ["failed (exit 1): db-1,web-1"]
    tally = after(ended(exited(1)), ended(exited(2), of=DB))
    assert lines(result_of(tally))[:-1] == ["failed (exit 1): web-1", "failed (exit 2): db-1"]


def test_many_nodes_are_folded() -> None:
    targets = fleet(10)
    tally = after(*(ended(exited(1), of=target) for target in targets), targets=targets)
    assert lines(result_of(tally))[0] == "failed (exit 1): edge[01-10]"


def test_two_nodes_of_one_name_are_told_apart_by_their_clusters() -> None:
    rome = pb.Target(execution_id="x-rome", node_name="web-1", cluster="rome")
    tally = after(ended(exited(1)), ended(exited(1), of=rome), targets=(WEB, rome))
    assert lines(result_of(tally))[0] == "failed (exit 1): web-1.oslo,web-1.rome"


def test_output_with_a_hole_is_named_even_when_all_ended_well() -> None:
    tally = after(gap(0, 4), ended(ok(stdout_bytes=4)), ended(ok(), of=DB))
    assert lines(result_of(tally))[:-1] == ["output incomplete: web-1"]


def test_reasons_that_were_shown_before_are_left_out() -> None:
    tally = after(ended(exited(1)), ended(ok(), of=DB))
    assert lines(result_of(tally), with_reasons=False) == [counts_line(result_of(tally))]


def test_a_name_cannot_break_out_of_its_line() -> None:
    odd = pb.Target(execution_id="x-web", node_name="web\n\x1b[2J")
    assert lines(result_of(after(ended(exited(1)), targets=(odd,))))[0] == r"failed (exit 1): web\n\x1b[2J"


@pytest.mark.parametrize("end", [None, ok(), exited(3), killed("SIGKILL")])
def test_one_nodes_exit_code_speaks_for_itself(end: pb.ExecutionEnd | None) -> None:
    assert one_node_lines(standing(end)) == []


@pytest.mark.parametrize(
    ("end", "line"),
    [
        (pb.ExecutionEnd(outcome=pb.OUTCOME_TIMED_OUT), "edgectl: web-1: timed_out"),
        (
            pb.ExecutionEnd(outcome=FAILED, error_message="no such program: x"),
            "edgectl: web-1: failed (no such program: x)",
        ),
        (
            pb.ExecutionEnd(outcome=pb.OUTCOME_OK, exit_code=0, output_held_open=True),
            "edgectl: web-1: a process left behind still holds the output open",
        ),
        (pb.ExecutionEnd(outcome=pb.OUTCOME_TIMED_OUT, output_held_open=True), "edgectl: web-1: timed_out"),
    ],
)
def test_what_one_nodes_exit_code_does_not_say_is_said(end: pb.ExecutionEnd, line: str) -> None:
    assert one_node_lines(standing(end)) == [line]
