"""Checks the grouped view: identical outputs once, with the folded set of nodes, the largest group first."""

from __future__ import annotations

from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import error_pb2
from edgectl.views.gathering import Gathering
from edgectl.views.group_text import Look
from edgectl.views.grouped import GroupedView
from tests.edgectl.unit.events import WEB, ended, exited, gap, happening, ok, output, tally_of
from tests.edgectl.unit.fleets import Told, edges, finished, tally_for, told

PIPE = Look(is_colored=False, is_harmless=False)
TERMINAL = Look(is_colored=False, is_harmless=True)
OFFLINE = pb.ExecutionEnd(outcome=pb.OUTCOME_OFFLINE, started=error_pb2.STARTED_NO)


def shown(*fleet: Told, look: Look = PIPE) -> str:
    tally = tally_for(fleet)
    view = GroupedView(tally=tally, look=look)
    told(tally, view, fleet)
    return finished(tally, view)


def test_one_line_outputs_are_a_table() -> None:
    fleet = [Told(b"6.5.0-44\n" if number == 7 else b"6.8.0-45\n") for number in range(1, 41)]
    assert shown(*fleet) == "6.8.0-45   edge[01-06,08-40] (39)\n6.5.0-44   edge07 (1)\n"


def test_the_sets_stand_in_one_column() -> None:
    assert shown(Told(b"active\n"), Told(b"active\n"), Told(b"inactive\n", end=exited(3))) == (
        "active     edge[01-02] (2)\ninactive   edge03 (1) · failed (exit 3)\n"
    )


def test_what_is_not_there_is_said() -> None:
    assert shown(Told(), Told(), Told(b"\n")) == "(no output)       edge[01-02] (2)\n(an empty line)   edge03 (1)\n"


def test_who_never_ran_is_left_to_the_last_lines() -> None:
    assert shown(Told(b"x\n"), Told(end=OFFLINE)) == "x   edge01 (1)\n"
    assert shown(Told(end=OFFLINE), Told(end=OFFLINE)) == ""


def test_longer_outputs_are_blocks_and_then_all_are() -> None:
    assert shown(Told(b"one\ntwo\n"), Told(b"one\ntwo\n"), Told(b"three\n")) == (
        "── edge[01-02] (2) ─────────────────────────────────────────────\n"
        "one\n"
        "two\n"
        "── edge03 (1) ──────────────────────────────────────────────────\n"
        "three\n"
    )
    assert shown(Told(b"x" * 73 + b"\n")).startswith("── edge01 (1) ─")


def test_stderr_stands_behind_stdout_and_is_marked() -> None:
    failed = Told(b"half\n", b"disk full\nsorry\n", exited(1))
    assert shown(failed).splitlines()[1:] == ["half", "stderr: disk full", "stderr: sorry"]
    assert shown(Told(stderr=b"no such unit\n", end=exited(4))) == (
        "stderr: no such unit   edge01 (1) · failed (exit 4)\n"
    )


def test_a_last_line_without_an_end_gets_one_and_is_told_apart_from_one_that_has_it() -> None:
    assert shown(Told(b"OK"), Told(b"OK")) == "OK   edge[01-02] (2)\n"
    assert shown(Told(b"OK"), Told(b"OK"), Told(b"OK\n")) == "OK   edge[01-02] (2) · no line end\nOK   edge03 (1)\n"
    assert shown(Told(stderr=b"x\n"), Told(stderr=b"x")).splitlines()[1].endswith("edge02 (1) · no line end")


def test_a_hole_is_marked_where_it_is() -> None:
    tally = tally_of(WEB)
    view = GroupedView(tally=tally, look=PIPE)
    view.show([happening(event) for event in (output(b"on"), gap(2, 10), output(b"e\n", at=10), ended(ok()))])
    assert finished(tally, view).splitlines()[1:] == ["on", "[8 bytes of stdout are missing]", "e"]


def test_what_was_not_kept_is_marked_and_says_where_all_of_it_would_be() -> None:
    tally = tally_of(WEB)
    view = GroupedView(tally=tally, look=PIPE, gathering=Gathering(stream_limit=6))
    view.show([happening(output(b"one\ntwo\nthree\n")), happening(ended(ok()))])
    assert finished(tally, view).splitlines()[1:] == [
        "one",
        "tw",
        "[8 more bytes of stdout are not shown; --outdir keeps them all]",
    ]


def test_what_arrived_is_shown_even_when_the_node_never_ended() -> None:
    assert shown(Told(b"same\n"), Told(b"same\n", end=None)) == "same   edge01 (1)\nsame   edge02 (1) · not finished\n"


def test_a_pipe_gets_the_bytes_and_a_terminal_no_escapes() -> None:
    rows = b"\x1b[31mred\x1b[0m\r\n"
    assert shown(Told(rows)) == "\x1b[31mred\x1b[0m\r   edge01 (1)\n"
    assert shown(Told(rows), look=TERMINAL) == "\\x1b[31mred\\x1b[0m   edge01 (1)\n"
    assert shown(Told(rows + b"\xff\n"), look=TERMINAL).splitlines()[1:] == ["\\x1b[31mred\\x1b[0m", "\\xff"]


def test_only_our_own_words_are_bold_and_only_with_colour() -> None:
    look = Look(is_colored=True, is_harmless=True)
    assert shown(Told(b"x\n"), look=look) == "x   \x1b[1medge01 (1)\x1b[0m\n"
    assert shown(Told(b"x\ny\n"), look=look).startswith("\x1b[1m── edge01 (1) ──")


def test_a_preview_is_one_safe_line_per_group_and_fits() -> None:
    fleet = [Told(b"one\n"), Told(b"one\n"), Told(b"\x1b[2Jtwo\nthree\n", end=exited(1)), Told(), Told(b"x", end=None)]
    tally = tally_for(fleet)
    view = GroupedView(tally=tally, look=PIPE)
    assert view.preview(5) == []
    told(tally, view, fleet)
    assert view.preview(5) == [
        "one            edge[01-02] (2)",
        "(no output)    edge04 (1)",
        r"\x1b[2Jtwo …   edge03 (1) · failed (exit 1)",
    ]
    assert view.preview(2) == ["one   edge[01-02] (2)", "and 2 more groups"]
    assert view.preview(1) == ["and 3 more groups"]


def test_two_nodes_of_one_name_are_two_nodes() -> None:
    rome = pb.Target(execution_id="x2", node_name="edge01", cluster="rome")
    tally = tally_of(edges(1)[0], rome)
    view = GroupedView(tally=tally, look=PIPE)
    told(tally, view, [Told(b"x\n"), Told(b"x\n")])
    assert finished(tally, view) == "x   edge01.oslo,edge01.rome (2)\n"


def test_ten_thousand_different_outputs_are_ten_thousand_rows() -> None:
    fleet = [Told(b"serial %d\n" % number) for number in range(10_000)]
    assert len(shown(*fleet).splitlines()) == 10_000
