"""Checks how many node names become few words: what counts up is folded, ids are listed, a line says how many more."""

from __future__ import annotations

import random
import uuid

import pytest
from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_wire.v1 import command_pb2 as pb
from edgectl.node_sets import LINE_LIMIT, distinct_names, fold, fold_briefly

THOUSANDS = 10_000
PARTS = ["edge", "rack", "db", "-", ".", "oslo", "0", "1", "7", "01", "09", "10", "11", "099", "100", "0a", "9f3c1d20"]


def numbered(count: int) -> list[str]:
    return [f"edge{number:05}" for number in range(count)]


def uuids(count: int) -> list[str]:
    chance = random.Random(7)
    return [f"node-{uuid.UUID(int=chance.getrandbits(128), version=4)}" for _ in range(count)]


def hex_suffixes(count: int) -> list[str]:
    return [f"edge-{number:06x}" for number in random.Random(7).sample(range(16**6), count)]


@pytest.mark.parametrize(
    ("names", "folded"),
    [
        ([], ""),
        (["web-1"], "web-1"),
        (["edge02", "edge01", "edge03", "edge07"], "edge[01-03,07]"),
        (["edge9", "edge10", "edge11"], "edge[9-11]"),
        (["edge1", "edge01"], "edge[1,01]"),
        (["web", "db", "edge1", "edge2"], "db,edge[1-2],web"),
        (["edge01.oslo", "edge02.oslo", "edge01.rome"], "edge01.rome,edge[01-02].oslo"),
        (["rack1-edge1", "rack1-edge2", "rack2-edge1", "rack2-edge2"], "rack[1-2]-edge[1-2]"),
        (["rack1-edge1", "rack1-edge2", "rack2-edge1"], "rack1-edge[1-2],rack2-edge1"),
        (["ip-10-0-3-17", "ip-10-0-3-18"], "ip-10-0-3-[17-18]"),
        (["decade01", "decade02"], "decade[01-02]"),
        (["db"], "db"),
    ],
)
def test_names_that_count_up_are_folded(names: list[str], folded: str) -> None:
    assert fold(names) == folded


@pytest.mark.parametrize(
    "names",
    [
        ["edge-3f9a1c", "edge-3f9a1d"],
        ["node-00036687", "node-00036688"],
        ["node-0f8fad5b-d9cb-469f-a165-70867728950e", "node-0f8fad5b-d9cb-469f-a165-70867728950f"],
        ["1-2-3-4-5", "1-2-3-4-6"],
    ],
)
def test_ids_are_listed_as_they_are(names: list[str]) -> None:
    assert fold(names) == ",".join(names)


def test_in_a_fleet_of_ids_the_few_that_look_regular_are_ids_too() -> None:
    assert fold(["edge-3f9a1c", "edge-9a1c3f", "edge-1c3f9a", "edge-123456", "edge-654321"]) == (
        "edge-123456,edge-1c3f9a,edge-3f9a1c,edge-654321,edge-9a1c3f"
    )


def test_names_that_no_node_may_have_cannot_break_a_line_nor_become_operators() -> None:
    assert fold(["a\n\x1b[2J", "a1", "a2", "a3", "a[4-6]"]) == r"a[1-3],a[4-6],a\n\x1b[2J"


def test_a_line_shows_what_fits_and_counts_the_rest() -> None:
    assert fold_briefly(["web", "db"]) == "db,web"
    line = fold_briefly(uuids(THOUSANDS))
    assert len(line) < LINE_LIMIT + 20
    assert line.count("node-") == 11
    assert line.endswith(" and 9989 more")


def test_a_set_with_too_many_holes_for_a_line_is_cut_too() -> None:
    assert fold_briefly(numbered(THOUSANDS)[::3]) == (
        "edge[00000,00003,00006,00009,00012,00015,00018,00021,00024,00027,00030,00033,00036,00039,00042,00045]"
        " and 3318 more"
    )


def test_only_the_first_names_are_looked_at_when_that_is_enough() -> None:
    assert fold_briefly(numbered(THOUSANDS), at_most=10) == "edge[00000-00009] and 9990 more"


def test_ten_thousand_names_are_folded_or_listed_whatever_they_look_like() -> None:
    assert fold(numbered(THOUSANDS)) == "edge[00000-09999]"
    racks = [f"rack{number // 100}-edge{number % 100:02}" for number in range(THOUSANDS)]
    assert fold(racks) == "rack[0-99]-edge[00-99]"
    for names in (uuids(THOUSANDS), hex_suffixes(THOUSANDS)):
        assert fold(names) == ",".join(sorted(names))


def test_nodes_are_called_by_their_cluster_only_when_two_share_a_name() -> None:
    targets = [
        pb.Target(execution_id="1", node_name="web", cluster="oslo"),
        pb.Target(execution_id="2", node_name="web", cluster="rome"),
        pb.Target(execution_id="3", node_name="db", cluster="rome"),
    ]
    assert distinct_names(targets) == {"1": "web.oslo", "2": "web.rome", "3": "db"}


@settings(deadline=None, derandomize=True)
@given(st.sets(st.lists(st.sampled_from(PARTS), min_size=1, max_size=6).map("".join), max_size=30))
def test_what_was_folded_means_the_same_names_when_it_is_typed(names: set[str]) -> None:
    assert set(NodeSet(fold(names), resolver=RESOLVER_NOGROUP)) == names


@settings(deadline=None, derandomize=True)
@given(st.sets(st.text(min_size=1, max_size=300), min_size=1, max_size=40))
def test_no_name_is_lost_in_a_line(names: set[str]) -> None:
    shown, _, left = fold_briefly(names).partition(" and ")
    assert len(shown.splitlines()) <= 1
    assert left or all(name in shown for name in names if name.isascii() and name.isprintable() and len(name) < 200)
