"""Checks the default view: whole lines with their node in front, stdout and stderr apart."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_wire.v1 import command_pb2 as pb
from edgectl.execution.sink import Piece
from edgectl.execution.tally import Happening
from edgectl.views.stream import StreamView
from edgectl.views.view import STDERR as ERR
from edgectl.views.view import STDOUT as OUT
from tests.edgectl.unit.events import (
    DB,
    STDERR,
    WEB,
    contact,
    ended,
    gap,
    happening,
    no_contact,
    ok,
    output,
    result_of,
    state,
    tally_of,
    written,
)

DONE = result_of(tally_of(WEB, DB))
KIB = 1024


def plain() -> StreamView:
    return StreamView(has_prefix=True, is_colored=False, terminals=frozenset())


def on_a_terminal() -> StreamView:
    return StreamView(has_prefix=True, is_colored=False, terminals=frozenset({OUT, ERR}))


def shown(view: StreamView, *events: pb.CommandEvent) -> list[Piece]:
    return view.show([happening(event) for event in events])


def test_each_line_has_its_node_in_front() -> None:
    assert shown(plain(), output(b"one\n\ntwo\n")) == [Piece(OUT, b"web-1: one\nweb-1: \nweb-1: two\n")]


def test_a_line_waits_until_it_is_whole() -> None:
    view = plain()
    assert shown(view, output(b"on")) == []
    assert shown(view, output(b"e\ntw", at=2)) == [Piece(OUT, b"web-1: one\n")]
    assert shown(view, output(b"o\n", at=6)) == [Piece(OUT, b"web-1: two\n")]


def test_lines_of_nodes_and_streams_never_mix() -> None:
    events = [output(b"a"), output(b"b", of=DB), output(b"c", stream=STDERR), output(b"1\n"), output(b"2\n", of=DB)]
    assert shown(plain(), *events) == [Piece(OUT, b"web-1: a1\n"), Piece(OUT, b"db-1: b2\n")]


def test_stderr_goes_to_stderr() -> None:
    assert shown(plain(), output(b"oops\n", stream=STDERR)) == [Piece(ERR, b"web-1: oops\n")]


def test_the_last_line_of_a_node_ends_with_the_node() -> None:
    view = plain()
    assert shown(view, output(b"no newline"), output(b"err", stream=STDERR), ended(ok())) == [
        Piece(OUT, b"web-1: no newline\n"),
        Piece(ERR, b"web-1: err\n"),
    ]
    assert view.finish(DONE) == []


def test_what_arrived_is_shown_even_when_the_node_never_ended() -> None:
    view = plain()
    shown(view, output(b"half a li", of=DB))
    assert view.finish(DONE) == [Piece(OUT, b"db-1: half a li\n")]


def test_people_are_told_what_is_missing_and_who_is_away() -> None:
    assert shown(plain(), output(b"on"), gap(2, 10), no_contact(), contact(of=DB)) == [
        Piece(OUT, b"web-1: on\n"),
        Piece(ERR, b"web-1: [8 bytes of stdout are missing]\n"),
        Piece(ERR, b"web-1: [no_contact; what was started runs on]\n"),
        Piece(ERR, b"db-1: [back]\n"),
    ]


def test_a_state_is_nothing_to_show() -> None:
    assert shown(plain(), state(pb.EXECUTION_STATE_RUNNING)) == []


def test_without_a_prefix_lines_are_as_they_are() -> None:
    view = StreamView(has_prefix=False, is_colored=True, terminals=frozenset())
    assert shown(view, output(b"one\ntwo\n")) == [Piece(OUT, b"one\ntwo\n")]


def test_a_node_has_a_colour_and_keeps_it() -> None:
    view = StreamView(has_prefix=True, is_colored=True, terminals=frozenset())
    first, second = shown(view, output(b"one\n"), output(b"two\n", stream=STDERR))
    assert re.fullmatch(rb"\x1b\[\d\dm" + rb"web-1\x1b\[0m: one\n", first.data)
    assert second.data == first.data.replace(b"one", b"two")


def test_a_pipe_gets_the_bytes_of_a_line_as_they_are() -> None:
    assert shown(plain(), output(b"\x1b[31m\xff\r\n")) == [Piece(OUT, b"web-1: \x1b[31m\xff\r\n")]


def test_a_terminal_gets_no_escapes_from_lines_or_names() -> None:
    assert shown(on_a_terminal(), output(b"\x1b[2J\xff\n")) == [Piece(OUT, b"web-1: \\x1b[2J\\xff\n")]
    odd = pb.Target(execution_id="x-web", node_name="web\x1b[2J")
    assert plain().show([Happening(odd, output(b"x\n"))]) == [Piece(OUT, b"web\\x1b[2J: x\n")]


def test_a_windows_line_end_is_a_line_end_on_a_terminal() -> None:
    assert shown(on_a_terminal(), output(b"one\r\ntwo\r\n")) == [Piece(OUT, b"web-1: one\nweb-1: two\n")]


def test_a_line_without_end_is_broken_rather_than_held() -> None:
    view = plain()
    assert shown(view, output(b"x" * (64 * KIB + 3))) == [Piece(OUT, b"web-1: " + b"x" * 64 * KIB + b"\n")]
    assert shown(view, output(b"\n")) == [Piece(OUT, b"web-1: xxx\n")]


def test_a_line_as_long_as_the_limit_is_one_line() -> None:
    view = plain()
    pieces = shown(view, output(b"x" * 64 * KIB)) + shown(view, output(b"\nnext\n", at=64 * KIB))
    assert written(pieces, OUT) == b"web-1: " + b"x" * 64 * KIB + b"\nweb-1: next\n"


@settings(deadline=None, derandomize=True)
@given(st.lists(st.text(alphabet="ab\n").map(str.encode), max_size=10))
def test_it_does_not_matter_how_the_bytes_are_cut(chunks: list[bytes]) -> None:
    view = plain()
    pieces = shown(view, *[output(chunk) for chunk in chunks]) + view.finish(DONE)
    lines = b"".join(chunks).split(b"\n")
    lines = lines if lines[-1] else lines[:-1]
    assert written(pieces, OUT) == b"".join(b"web-1: " + line + b"\n" for line in lines)
