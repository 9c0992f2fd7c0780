"""Checks one node named outright: its bytes pass through untouched, and only a terminal is protected."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.execution.sink import Piece
from edgectl.views.exact import ExactView
from edgectl.views.view import STDERR as ERR
from edgectl.views.view import STDOUT as OUT
from tests.edgectl.unit.events import STDERR, WEB, ended, gap, happening, ok, output, result_of, tally_of, written

DONE = result_of(tally_of(WEB))


def test_bytes_keep_their_order_and_their_stream() -> None:
    view = ExactView(terminals=frozenset())
    happenings = [happening(output(b"\x1b[31m\x00\r")), happening(output(b"\xff", stream=STDERR))]
    assert view.show(happenings) == [Piece(OUT, b"\x1b[31m\x00\r"), Piece(ERR, b"\xff")]
    assert view.finish(DONE) == []


def test_nothing_is_added_at_the_end_or_for_a_hole() -> None:
    view = ExactView(terminals=frozenset())
    assert view.show([happening(gap(0, 4)), happening(ended(ok()))]) == []
    assert view.finish(DONE) == []


def test_a_terminal_gets_no_escapes_and_a_file_beside_it_gets_the_bytes() -> None:
    view = ExactView(terminals=frozenset({ERR}))
    happenings = [happening(output(b"\x1b[31m")), happening(output(b"\x1b[31m", stream=STDERR))]
    assert view.show(happenings) == [Piece(OUT, b"\x1b[31m"), Piece(ERR, rb"\x1b[31m")]


def test_a_broken_character_before_the_end_still_reaches_the_terminal() -> None:
    view = ExactView(terminals=frozenset({OUT, ERR}))
    assert written(view.show([happening(output(b"a\xe6\x97"))]), OUT) == b"a"
    assert view.finish(DONE) == [Piece(OUT, rb"\xe6\x97")]


@settings(deadline=None, derandomize=True)
@given(st.lists(st.binary(), max_size=10))
def test_a_copy_is_exact(chunks: list[bytes]) -> None:
    view = ExactView(terminals=frozenset())
    pieces = view.show([happening(output(chunk)) for chunk in chunks]) + view.finish(DONE)
    assert written(pieces, OUT) == b"".join(chunks)
