"""A unified diff of two lists of lines whose cost is bounded: steps are counted, and when they are used up it gives up.

Python's matcher is quick on outputs that resemble each other and takes minutes on long ones whose repeated lines
alternate with different ones, as JSON has them. It knows no budget, so this one counts for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import Match, SequenceMatcher
from itertools import accumulate

STEPS_LIMIT = 4_000_000
"""For one diff: well under a second."""
CONTEXT = 3
_EXCERPT = 200


class Budget:
    """Steps that several diffs may take together."""

    def __init__(self, steps: int = 4 * STEPS_LIMIT) -> None:
        self._left = steps
        self._allowance = 0

    def begin(self) -> None:
        """The next diff may use what is left, up to the limit of one."""
        self._allowance = min(self._left, STEPS_LIMIT)

    def spend(self, steps: int) -> None:
        """Raises TooCostly."""
        self._left -= steps
        self._allowance -= steps
        if self._allowance < 0:
            raise TooCostly


class TooCostly(Exception):
    """The diff would take too long."""


def diff(before: Sequence[bytes], after: Sequence[bytes], budget: Budget) -> list[bytes]:
    """The hunks of a unified diff without file names; no lines when there is no difference.

    When the budget does not last: how many lines there are, and the first two that differ.
    """
    if before == after:
        return []
    start, stop = _common_ends(before, after)
    try:
        budget.begin()
        return list(_hunks(before[start : len(before) - stop], after[start : len(after) - stop], start, budget))
    except TooCostly:
        return _in_short(before, after)


def _common_ends(before: Sequence[bytes], after: Sequence[bytes]) -> tuple[int, int]:
    """How many lines at the start and at the end need not be looked at: what is the same, but for the context."""
    start = _first_difference(before, after)
    longest = min(len(before), len(after)) - start
    stop = 0
    while stop < longest and before[-1 - stop] == after[-1 - stop]:
        stop += 1
    return max(start - CONTEXT, 0), max(stop - CONTEXT, 0)


def _first_difference(before: Sequence[bytes], after: Sequence[bytes]) -> int:
    pairs = enumerate(zip(before, after, strict=False))
    return next((index for index, (old, new) in pairs if old != new), min(len(before), len(after)))


def _hunks(before: Sequence[bytes], after: Sequence[bytes], offset: int, budget: Budget) -> Iterator[bytes]:
    for group in _Matcher(before, after, budget).get_grouped_opcodes(CONTEXT):
        old = _range(group[0][1] + offset, group[-1][2] + offset)
        new = _range(group[0][3] + offset, group[-1][4] + offset)
        yield f"@@ -{old} +{new} @@".encode()
        for kind, old_start, old_stop, new_start, new_stop in group:
            if kind == "equal":
                yield from (b" " + line for line in before[old_start:old_stop])
            else:
                yield from (b"-" + line for line in before[old_start:old_stop])
                yield from (b"+" + line for line in after[new_start:new_stop])


def _range(start: int, stop: int) -> str:
    """Lines as hunks count them: from 1 on, an empty range stands after its line, a length of 1 is left out."""
    length = stop - start
    if length == 1:
        return f"{start + 1}"
    return f"{start + 1 if length else start},{length}"


def _in_short(before: Sequence[bytes], after: Sequence[bytes]) -> list[bytes]:
    first = _first_difference(before, after)
    said = f"[too long to compare: {len(after)} lines instead of {len(before)}, different from line {first + 1} on]"
    old = [b"-" + line[:_EXCERPT] for line in before[first : first + 1]]
    return [said.encode(), *old, *(b"+" + line[:_EXCERPT] for line in after[first : first + 1])]


class _Matcher(SequenceMatcher[bytes]):
    """Counts the pairs of equal lines that it is about to look at."""

    def __init__(self, before: Sequence[bytes], after: Sequence[bytes], budget: Budget) -> None:
        budget.spend(len(before) + len(after))
        super().__init__(None, before, after)
        self._budget = budget
        places = self.b2j  # type: ignore[attr-defined]  # documented, and not in the stubs
        self._pairs_until = [0, *accumulate(1 + len(places.get(line, ())) for line in before)]

    def find_longest_match(self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None) -> Match:
        last = len(self._pairs_until) - 1 if ahi is None else ahi
        self._budget.spend(self._pairs_until[last] - self._pairs_until[alo])
        return super().find_longest_match(alo, ahi, blo, bhi)
