"""Checks how bytes become text in JSON: nothing is lost or changed, and whole UTF-8 stays text however it is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.views.machine import Utf8Chunks

PIECES = st.sampled_from(
    [b"a", b"\n", b"\xff", b"\xc3", b"\xa9", "é".encode(), "日".encode(), "🙂".encode(), b"\xf0\x9f"]
)
CUTS = st.lists(st.integers(0, 40), max_size=10)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    borders = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[start:stop] for start, stop in pairwise(borders)]


def fed(chunks: list[bytes]) -> list[str | bytes]:
    text = Utf8Chunks()
    return [piece for chunk in chunks for piece in text.feed(chunk)] + text.end()


def joined(pieces: list[str | bytes]) -> bytes:
    return b"".join(piece.encode() if isinstance(piece, str) else piece for piece in pieces)


@pytest.mark.parametrize(
    ("chunks", "pieces"),
    [
        ([b""], []),
        ([b"one\n", b"two\n"], ["one\n", "two\n"]),
        ([b"\xff"], [b"\xff"]),
        ([b"a\xc3", b"\xa9b"], ["a", "éb"]),
        ([b"\xf0", b"\x9f", b"\x99", b"\x82"], ["🙂"]),
        ([b"a\xc3"], ["a", b"\xc3"]),
        ([b"a\xc3", b"b"], ["a", b"\xc3b"]),
        ([b"\xed\xa0\x80"], [b"\xed\xa0\x80"]),
    ],
)
def test_text_is_text_and_the_rest_is_bytes(chunks: list[bytes], pieces: list[str | bytes]) -> None:
    assert fed(chunks) == pieces


def test_nothing_is_left_after_the_end() -> None:
    text = Utf8Chunks()
    assert text.feed(b"\xc3") == []
    assert text.end() == [b"\xc3"]
    assert text.end() == []
    assert text.feed(b"a") == ["a"]


@settings(deadline=None, derandomize=True)
@given(st.binary(max_size=40) | st.lists(PIECES).map(b"".join), CUTS)
def test_no_byte_is_lost_or_changed_however_the_stream_is_cut(data: bytes, places: list[int]) -> None:
    assert joined(fed(cut(data, places))) == data


@settings(deadline=None, derandomize=True)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), CUTS)
def test_text_stays_text_however_the_stream_is_cut(text: str, places: list[int]) -> None:
    pieces = fed(cut(text.encode(), places))
    assert all(isinstance(piece, str) for piece in pieces)
    assert joined(pieces) == text.encode()
