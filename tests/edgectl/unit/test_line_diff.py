"""Checks the bounded diff: it says what other diffs say, whoever applies it gets the other lines, and it gives up."""

from __future__ import annotations

from difflib import diff_bytes, unified_diff

from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.views.line_diff import Budget, diff
from tests.edgectl.unit.hunks import apply_hunks

LINES = st.lists(st.sampled_from([b"a", b"b", b"c", b"", b"-a", b"+b", b"@@ -1 +1 @@", b"\xff"]), max_size=40)


@settings(deadline=None, derandomize=True)
@given(LINES, LINES)
def test_applied_to_the_one_it_gives_the_other(before: list[bytes], after: list[bytes]) -> None:
    assert apply_hunks(before, diff(before, after, Budget())) == after


def test_it_is_what_python_says() -> None:
    before = [b"line %d" % number for number in range(400)]
    after = [line for line in before if not line.endswith(b"7")] + [b"new"]
    expected = list(diff_bytes(unified_diff, before, after, lineterm=b""))[2:]
    assert diff(before, after, Budget()) == expected


def test_a_hundred_thousand_lines_of_which_one_differs_are_compared() -> None:
    before = [b"%d" % number for number in range(100_000)]
    after = [*before[:50_000], b"odd", *before[50_001:]]
    assert diff(before, after, Budget(steps=100))[4:6] == [b"-50000", b"+odd"]


def test_what_would_take_minutes_is_told_in_short() -> None:
    def repeated(word: bytes) -> list[bytes]:
        return [b"common %d" % (number % 101) if number % 2 else b"%s %d" % (word, number) for number in range(20_000)]

    assert diff(repeated(b"old"), [*repeated(b"new"), b"more"], Budget()) == [
        b"[too long to compare: 20001 lines instead of 20000, different from line 1 on]",
        b"-old 0",
        b"+new 0",
    ]


def test_several_diffs_share_what_they_may_cost() -> None:
    budget = Budget(steps=10)
    assert diff([b"a"], [b"b"], budget) == [b"@@ -1 +1 @@", b"-a", b"+b"]
    assert diff([b"a"], [b"b" * 300], Budget(steps=1))[1:] == [b"-a", b"+" + b"b" * 200]
    diffs = [diff([b"a"], [b"b"], budget)[0] for _ in range(5)]
    assert diffs[-1].startswith(b"[too long to compare")
    assert diff([b"a"], [b"a"], budget) == []
