"""Checks the diff view: what the largest group wrote, then how every other group differs from it."""

from __future__ import annotations

from edgectl.views.diff import DiffView
from edgectl.views.group_text import Look
from tests.edgectl.unit.events import exited
from tests.edgectl.unit.fleets import Told, finished, tally_for, told

PIPE = Look(is_colored=False, is_harmless=False)
COMMON = b"".join(b"line %d\n" % number for number in range(1, 21))


def shown(*fleet: Told, look: Look = PIPE) -> list[str]:
    tally = tally_for(fleet)
    view = DiffView(tally=tally, look=look)
    told(tally, view, fleet)
    return finished(tally, view).split("\n")[:-1]


def test_the_largest_group_is_whole_and_the_others_are_hunks() -> None:
    odd = COMMON.replace(b"line 10\n", b"line ten\n")
    lines = shown(Told(COMMON), Told(odd, end=exited(1)), Told(COMMON))
    assert lines[0] == "── edge[01,03] (2) ".ljust(64, "─")
    assert "\n".join(lines[1:21]).encode() + b"\n" == COMMON
    assert lines[21:] == [
        "── edge02 (1) · failed (exit 1) ".ljust(64, "─"),
        "@@ -7,7 +7,7 @@",
        " line 7",
        " line 8",
        " line 9",
        "-line 10",
        "+line ten",
        " line 11",
        " line 12",
        " line 13",
    ]


def test_one_line_outputs_are_compared_too() -> None:
    assert shown(Told(b"a\n"), Told(b"a\n"), Told(b"b\n"))[1:] == [
        "a",
        "── edge03 (1) ".ljust(64, "─"),
        "@@ -1 +1 @@",
        "-a",
        "+b",
    ]


def test_stderr_is_compared_as_stderr() -> None:
    assert shown(Told(b"a\n"), Told(b"a\n"), Told(stderr=b"a\n"))[-2:] == ["-a", "+stderr: a"]


def test_a_group_that_only_ended_otherwise_says_so() -> None:
    assert shown(Told(b"a\n"), Told(b"a\n"), Told(b"a\n", end=exited(2)))[2:] == [
        "── edge03 (1) · failed (exit 2) ".ljust(64, "─"),
        "(the same lines)",
    ]


def test_a_group_that_wrote_nothing_differs_in_every_line() -> None:
    assert shown(Told(b"a\nb\n"), Told(b"a\nb\n"), Told())[-3:] == ["@@ -1,2 +0,0 @@", "-a", "-b"]
    assert shown(Told(), Told(), Told(b"a\n"))[1:] == [
        "(no output)",
        "── edge03 (1) ".ljust(64, "─"),
        "@@ -0,0 +1 @@",
        "+a",
    ]


def test_nothing_that_ran_is_nothing_to_compare() -> None:
    assert shown(Told(end=None)) == []


def test_a_terminal_gets_colours_of_ours_and_no_escapes_of_nodes() -> None:
    look = Look(is_colored=True, is_harmless=True)
    assert shown(Told(b"\x1b[2Ja\n"), Told(b"\x1b[2Ja\n"), Told(b"b\n"), look=look)[-3:] == [
        "\x1b[36m@@ -1 +1 @@\x1b[0m",
        "\x1b[31m-\\x1b[2Ja\x1b[0m",
        "\x1b[32m+b\x1b[0m",
    ]


def test_a_group_among_thousands_that_all_differ_is_still_shown() -> None:
    fleet = [Told(b"%d\n" % number * 3) for number in range(10_000)]
    assert sum(line.startswith("── ") for line in shown(*fleet)) == 10_000
