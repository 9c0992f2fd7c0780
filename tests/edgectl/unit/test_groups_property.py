"""Checks that views which put nodes together lose no byte and invent none: what they wrote is read back."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet
from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.views.diff import DiffView
from edgectl.views.group_text import Look
from edgectl.views.grouped import GroupedView
from tests.edgectl.unit.events import exited, ok
from tests.edgectl.unit.fleets import Told, finished, tally_for, told
from tests.edgectl.unit.hunks import apply_hunks

PIPE = Look(is_colored=False, is_harmless=False)
LABEL = r"(?P<set>\S+) \((?P<count>\d+)\)(?P<notes>( · [a-z0-9 ()]+)*)"
RULE = re.compile(rf"── {LABEL} ─*")
ROW = re.compile(rf"(?P<text>.*?) {{3,}}{LABEL}")
WORDS_FOR_NOTHING = {"(no output)": [], "(an empty line)": [""]}

outputs = st.text(alphabet="ab\n\udcff", max_size=8).map(lambda text: text.encode(errors="surrogateescape"))
fleets = st.lists(st.builds(Told, outputs, outputs, st.sampled_from([ok(), exited(1), exited(2), None])), max_size=12)

Groups = dict[tuple[tuple[str, ...], str], set[str]]
"""Nodes by the lines that they wrote and by how they ended."""


def written(fleet: Sequence[Told], view_of: type[GroupedView]) -> str:
    tally = tally_for(fleet)
    view = view_of(tally=tally, look=PIPE)
    told(tally, view, fleet)
    return finished(tally, view)


def lines_of(words: Told) -> tuple[str, ...]:
    """What has to be readable of one node, line by line."""

    def lines(data: bytes) -> list[str]:
        text = data.decode(errors="surrogateescape")
        return text.removesuffix("\n").split("\n") if text else []

    return (*lines(words.stdout), *(f"stderr: {line}" for line in lines(words.stderr)))


def ending_of(words: Told) -> str:
    if words.end is None:
        return "not finished"
    return f"failed (exit {words.end.exit_code})" if words.end.exit_code else "ok"


def expected(fleet: Sequence[Told]) -> Groups:
    """The same groups, made the plainest way."""
    found: Groups = {}
    for number, words in enumerate(fleet, start=1):
        if words.end is not None or words.stdout or words.stderr:
            found.setdefault((lines_of(words), ending_of(words)), set()).add(f"edge{number:02}")
    return found


def label_of(match: re.Match[str]) -> tuple[str, set[str]]:
    """How they ended, and who; the count must be right."""
    nodes = set(NodeSet(match["set"], resolver=RESOLVER_NOGROUP))
    assert len(nodes) == int(match["count"])
    notes = [note for note in match["notes"].split(" · ")[1:] if note != "no line end"]
    assert len(notes) <= 1
    return "".join(notes) or "ok", nodes


def add(found: Groups, lines: Sequence[str], match: re.Match[str]) -> None:
    ending, nodes = label_of(match)
    found.setdefault((tuple(lines), ending), set()).update(nodes)  # groups that differ in the last line end alone


def blocks_of(text: str) -> list[tuple[re.Match[str], list[str]]]:
    found: list[tuple[re.Match[str], list[str]]] = []
    for line in text.split("\n")[:-1]:
        if rule := RULE.fullmatch(line):
            found.append((rule, []))
        else:
            found[-1][1].append(line)
    return found


def read_grouped(text: str) -> Groups:
    found: Groups = {}
    if text.startswith("── "):
        for rule, lines in blocks_of(text):
            add(found, lines, rule)
        return found
    for line in text.split("\n")[:-1]:
        row = ROW.fullmatch(line)
        assert row, line
        add(found, WORDS_FOR_NOTHING.get(row["text"], [row["text"]]), row)
    return found


def read_diff(text: str) -> Groups:
    found: Groups = {}
    base: list[str] = []
    for index, (rule, lines) in enumerate(blocks_of(text)):
        if index == 0:
            base = [] if lines == ["(no output)"] else lines
            add(found, base, rule)
        else:
            hunks = [line.encode(errors="surrogateescape") for line in lines if line != "(the same lines)"]
            after = apply_hunks([line.encode(errors="surrogateescape") for line in base], hunks)
            add(found, [line.decode(errors="surrogateescape") for line in after], rule)
    return found


@settings(deadline=None, derandomize=True, max_examples=300)
@given(fleets)
def test_every_group_can_be_read_back(fleet: list[Told]) -> None:
    assert read_grouped(written(fleet, GroupedView)) == expected(fleet)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(fleets)
def test_every_difference_can_be_undone(fleet: list[Told]) -> None:
    assert read_diff(written(fleet, DiffView)) == expected(fleet)


@settings(deadline=None, derandomize=True)
@given(fleets)
def test_the_largest_group_is_the_first(fleet: list[Told]) -> None:
    sizes = [int(count) for count in re.findall(r"\S+ \((\d+)\)", written(fleet, GroupedView))]
    assert sizes == sorted(sizes, reverse=True)
