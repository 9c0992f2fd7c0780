"""Checks that bytes from a node cannot command a terminal, and that text stays text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.views.escapes import TerminalText, harmless

CUTS = st.lists(st.binary(max_size=8), max_size=8)
ALLOWED = {"\n", "\t"}


def fed(chunks: list[bytes]) -> bytes:
    text = TerminalText()
    return b"".join(text.feed(chunk) for chunk in chunks) + text.feed(b"", is_last=True)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"", b""),
        (b"plain\ttext\n", b"plain\ttext\n"),
        ("Ünïcode 日本 🙂\n".encode(), "Ünïcode 日本 🙂\n".encode()),
        (b"\x1b[31mred\x1b[0m", rb"\x1b[31mred\x1b[0m"),
        (b"\x1b]0;title\x07", rb"\x1b]0;title\x07"),
        (b"a\rb\x08c\x00d\x7f", rb"a\rb\x08c\x00d\x7f"),
        (b"line\r\nline\r\n", b"line\nline\n"),
        (b"\x9b31m", rb"\x9b31m"),
        ("\x9b31m".encode(), rb"\x9b31m"),
        ("\u202egpj.exe".encode(), rb"\u202egpj.exe"),
        ("a\u2028b".encode(), rb"a\u2028b"),
        (b"\xff\xfe", rb"\xff\xfe"),
        (b"\xe6\x97", rb"\xe6\x97"),
        (b"\xed\xa0\x80", rb"\xed\xa0\x80"),
    ],
)
def test_control_characters_become_visible(data: bytes, shown: bytes) -> None:
    assert harmless(data) == shown


def test_a_character_that_is_split_between_chunks_is_put_together() -> None:
    text = TerminalText()
    assert text.feed(b"\xe6\x97") == b""
    assert text.feed(b"\xa5\x1b") == "日\\x1b".encode()


def test_half_a_character_at_the_end_is_shown_as_its_bytes() -> None:
    assert fed([b"a\xe6\x97"]) == rb"a\xe6\x97"


def test_a_line_end_that_is_split_between_chunks_is_still_a_line_end() -> None:
    assert fed([b"line\r", b"\nline"]) == b"line\nline"


@settings(deadline=None, derandomize=True)
@given(CUTS)
def test_no_control_character_ever_comes_through(chunks: list[bytes]) -> None:
    shown = fed(chunks).decode()
    assert not [character for character in shown if ord(character) < 32 and character not in ALLOWED]
    assert not [character for character in shown if 0x7F <= ord(character) <= 0x9F]


@settings(deadline=None, derandomize=True)
@given(CUTS)
def test_it_does_not_matter_how_the_bytes_are_cut(chunks: list[bytes]) -> None:
    without_returns = [chunk.replace(b"\r", b"") for chunk in chunks]
    assert fed(without_returns) == harmless(b"".join(without_returns))
