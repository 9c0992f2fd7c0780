"""Applies the hunks of a unified diff, as `patch` does, for the tests of what makes them."""

from __future__ import annotations

import re


def apply_hunks(before: list[bytes], hunks: list[bytes]) -> list[bytes]:
    """What `patch` would make of them; fails where a hunk does not fit."""
    after: list[bytes] = []
    position = 0
    for line in hunks:
        if header := re.match(rb"@@ -(\d+)(?:,(\d+))? \+", line):
            start = int(header[1]) - (header[2] != b"0")
            after += before[position:start]
            position = start
            continue
        if line[:1] in {b" ", b"-"}:
            assert before[position] == line[1:]
            position += 1
        if line[:1] in {b" ", b"+"}:
            after.append(line[1:])
    return after + before[position:]
