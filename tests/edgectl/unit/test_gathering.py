"""Checks who is put together: the same bytes on both streams and the same end; and that memory is bounded."""

from __future__ import annotations

import pytest

from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import error_pb2
from edgectl.execution.tally import Happening, Standing
from edgectl.views.gathering import Gathering, Group, Hole
from tests.edgectl.unit.events import DB, STDERR, WEB, ended, exited, gap, happening, killed, ok, output

EDGES = [pb.Target(execution_id=f"x{number}", node_name=f"edge{number}") for number in range(5)]
OFFLINE = pb.ExecutionEnd(outcome=pb.OUTCOME_OFFLINE, started=error_pb2.STARTED_NO)


def gathered(*events: pb.CommandEvent, gathering: Gathering | None = None) -> list[Group]:
    chosen = gathering or Gathering()
    chosen.take([happening(event) for event in events])
    return chosen.groups()


def members(groups: list[Group]) -> list[list[str]]:
    return [[target.node_name for target in group.targets] for group in groups]


def both(web: pb.ExecutionEnd, db: pb.ExecutionEnd) -> list[pb.CommandEvent]:
    return [ended(web), ended(db, of=DB)]


def test_the_same_output_is_one_group_however_it_was_cut_into_chunks() -> None:
    chunks = [output(b"6.8.0-45\n"), output(b"6.8", of=DB), output(b".0-45\n", at=3, of=DB)]
    [group] = gathered(*chunks, *both(ok(), ok()))
    assert [target.node_name for target in group.targets] == ["web-1", "db-1"]
    assert (group.reason, group.stdout.data, group.stderr.data) == ("ok", b"6.8.0-45\n", b"")


@pytest.mark.parametrize(
    "events",
    [
        [output(b"a\n"), output(b"b\n", of=DB), *both(ok(), ok())],
        [output(b"a\n"), output(b"a", of=DB), *both(ok(), ok())],
        [output(b"a\n"), output(b"a\n", of=DB, stream=STDERR), *both(ok(), ok())],
        [output(b"a\n", stream=STDERR), output(b"b\n", of=DB, stream=STDERR), *both(ok(), ok())],
        [gap(0, 4), *both(ok(), ok())],
        [gap(0, 4), gap(0, 5, of=DB), *both(ok(), ok())],
        both(ok(), exited(1)),
        both(exited(1), exited(2)),
        both(exited(137), killed("SIGKILL")),
    ],
)
def test_what_differs_in_bytes_stream_holes_or_end_stays_apart(events: list[pb.CommandEvent]) -> None:
    assert sorted(members(gathered(*events))) == [["db-1"], ["web-1"]]


def test_holes_are_told_apart_from_what_stands_beside_them() -> None:
    [group] = gathered(output(b"on"), gap(2, 5), gap(5, 10), output(b"e\n", at=10), *both(ok(), OFFLINE))
    assert (group.stdout.data, group.stdout.size) == (b"one\n", 4)
    assert group.stdout.identity.holes == (Hole(at=2, size=8),)


def test_who_ran_and_wrote_nothing_is_shown_and_who_did_not_run_is_not() -> None:
    assert members(gathered(*both(ok(), OFFLINE))) == [["web-1"]]


def test_whoever_goes_on_is_in_no_group_until_nothing_more_comes() -> None:
    gathering = Gathering()
    assert gathered(output(b"half"), gathering=gathering) == []
    gathering.close([Standing(WEB), Standing(DB, has_contact=False)])
    [group] = gathering.groups()
    assert (group.reason, group.stdout.data, members([group])) == ("not finished", b"half", [["web-1"]])


def test_the_largest_group_is_the_first_and_of_two_of_a_size_the_one_that_ended_well() -> None:
    ends = [exited(1), ok(), exited(2), exited(2), exited(3)]
    gathering = Gathering()
    events = [ended(end, of=target) for end, target in zip(ends, EDGES, strict=True)]
    gathering.take([Happening(target, event) for target, event in zip(EDGES, events, strict=True)])
    shown = [["edge2", "edge3"], ["edge1"], ["edge0"], ["edge4"]]
    assert members(gathering.groups()) == shown
    assert members(gathering.largest(2)) == shown[:2]
    assert gathering.group_count == 4


def test_one_copy_of_what_many_wrote_is_kept() -> None:
    gathering = Gathering(total_limit=8)
    gathered(output(b"1234"), ended(ok()), gathering=gathering)
    first, second = gathered(output(b"1234", of=DB), ended(exited(1), of=DB), gathering=gathering)
    assert first.stdout is second.stdout
    gathering.take([Happening(EDGES[0], event) for event in (output(b"5678", of=EDGES[0]), ended(ok(), of=EDGES[0]))])
    assert sorted(group.stdout.data for group in gathering.groups()) == [b"1234", b"1234", b"5678"]


def test_what_is_beyond_the_limit_of_a_stream_is_counted_and_still_told_apart() -> None:
    events = [output(b"12345"), output(b"67", at=5), output(b"12345", of=DB), output(b"68", at=5, of=DB)]
    groups = gathered(*events, *both(ok(), ok()), gathering=Gathering(stream_limit=4))
    assert [(group.stdout.data, group.stdout.size) for group in groups] == [(b"1234", 7), (b"1234", 7)]
    assert members(groups) == [["db-1"], ["web-1"]]


def test_nothing_is_kept_behind_bytes_that_were_not() -> None:
    gathering = Gathering(total_limit=2)
    known = EDGES[0]
    gathering.take([Happening(known, event) for event in (output(b"a", of=known), ended(ok(), of=known))])
    gathered(output(b"a", of=DB), output(b"x"), ended(ok(), of=DB), gathering=gathering)
    _, cut = gathered(output(b"y", at=1), ended(ok()), gathering=gathering)
    assert (cut.stdout.data, cut.stdout.size) == (b"", 2)


def test_the_longer_of_two_copies_is_the_one_that_is_shown() -> None:
    gathering = Gathering(total_limit=6)
    gathered(output(b"1234"), output(b"1234", of=DB), ended(ok(), of=DB), gathering=gathering)
    [cut] = gathering.groups()
    assert cut.stdout.data == b"12"
    [whole] = gathered(ended(ok()), gathering=gathering)
    assert (whole.stdout.data, members([whole])) == (b"1234", [["db-1", "web-1"]])
