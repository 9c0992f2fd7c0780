"""Checks the summary view: no output, one line per outcome and reason with the folded set of nodes."""

from __future__ import annotations

from edge_wire.v1 import command_pb2 as pb
from edgectl.views.group_text import Look
from edgectl.views.outcomes import OutcomesView
from tests.edgectl.unit.events import exited
from tests.edgectl.unit.fleets import Told, finished, tally_for, told

OFFLINE = pb.ExecutionEnd(outcome=pb.OUTCOME_OFFLINE)


def shown(*fleet: Told) -> str:
    tally = tally_for(fleet)
    view = OutcomesView(look=Look(is_colored=False, is_harmless=False))
    told(tally, view, fleet)
    return finished(tally, view)


def test_each_way_of_ending_is_a_line_the_best_first() -> None:
    fleet = [
        Told(end=OFFLINE),
        Told(end=exited(1)),
        Told(b"noise\n"),
        Told(b"other noise\n"),
        Told(end=exited(2)),
        Told(end=exited(2)),
        Told(end=None),
    ]
    assert shown(*fleet) == (
        "ok                edge[03-04] (2)\n"
        "failed (exit 2)   edge[05-06] (2)\n"
        "failed (exit 1)   edge02 (1)\n"
        "offline           edge01 (1)\n"
        "not finished      edge07 (1)\n"
    )


def test_a_reason_from_a_node_cannot_break_its_line() -> None:
    end = pb.ExecutionEnd(outcome=pb.OUTCOME_FAILED, error_message="two\nlines\x1b[m")
    assert shown(Told(end=end)) == "failed (two\\nlines\\x1b[m)   edge01 (1)\n"
