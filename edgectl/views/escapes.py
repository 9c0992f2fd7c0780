"""Untrusted bytes made harmless for a terminal: control characters become visible, text stays text."""

from __future__ import annotations

import codecs
import re

_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class TerminalText:
    """One stream of bytes on its way to a terminal; characters that are split between chunks are put together."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._held = ""
        """A carriage return that may be half of a line end."""

    def feed(self, data: bytes, *, is_last: bool = False) -> bytes:
        """The harmless form of the next bytes."""
        text = self._held + self._decoder.decode(data, is_last)
        self._held = "\r" if text.endswith("\r") and not is_last else ""
        text = text.removesuffix(self._held)
        return _HARMFUL.sub(_visible, text.replace("\r\n", "\n")).encode()


def harmless(data: bytes) -> bytes:
    """The harmless form of bytes that stand alone."""
    return TerminalText().feed(data, is_last=True)


def _visible(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
