"""Selector expressions and label requirements: what is understood, and what is refused before anything costs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_server.commands.domain import Outcome
from edge_server.nodes.expressions import (
    CommandNodes,
    Names,
    evaluate,
    fold,
    parse_expression,
    parse_requirements,
)
from edge_wire.errors import SelectorInvalid
from tests.edge_server.fleet import PROPERTY

OUTCOMES = tuple(outcome.value for outcome in Outcome)


def nodes_of(text: str) -> set[str]:
    """What an expression over names alone stands for; commands give the names `old1` and `old2`."""

    def found(part: Names | CommandNodes) -> set[str]:
        return set(part.references) if isinstance(part, Names) else {"old1", "old2"}

    return evaluate(parse_expression(text, OUTCOMES), found)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("web1", "web1"),
        ("web1.oslo", "web1.oslo"),
        ("web1,web2", "web1 web2"),
        ("web1 , web2", "web1 web2"),
        ("edge[01-03]", "edge01 edge02 edge03"),
        ("edge[1-3,7]", "edge1 edge2 edge3 edge7"),
        ("edge[0-8/4]", "edge0 edge4 edge8"),
        ("edge[01-04]!edge02", "edge01 edge03 edge04"),
        ("edge[01-04]&edge[03-06]", "edge03 edge04"),
        ("edge[1-2]^edge[2-3]", "edge1 edge3"),
        ("a,b!b,b", "a b"),
        ("a,b,c!b&a,d", "a d"),
        ("rack[1-2]-node[1-2]", "rack1-node1 rack1-node2 rack2-node1 rack2-node2"),
        ("edge[1-2].oslo", "edge1.oslo edge2.oslo"),
        ("@command:9f3c", "old1 old2"),
        ("@command:9f3c=failed!old2", "old1"),
        ("web1,@command:9f3c=failed,lost,web2", "web1 old1 old2 web2"),
        ("edge[1-3]!@command:9f3c=ok", "edge1 edge2 edge3"),
    ],
)
def test_terms_are_joined_from_left_to_right(text: str, names: str) -> None:
    assert nodes_of(text) == set(names.split())


def test_outcomes_behind_a_comma_belong_to_their_command_and_other_words_do_not() -> None:
    terms = parse_expression("@command:9f3c=failed,lost,web2,lost", OUTCOMES)
    assert [term.nodes for term in terms] == [
        CommandNodes(command="9f3c", outcomes=["failed", "lost"]),
        Names(references=["web2"]),
        Names(references=["lost"]),
    ]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("edge[01-", "a bracket is not closed"),
        ("edge01]", "a bracket is not closed"),
        ("edge[]", "is no node set"),
        ("edge[a-b]", "is no node set"),
        ("edge[9-1]", "is no node set"),
        ("edge[1-9/0]", "is no node set"),
        ("edge[[1-2]]", "is no node set"),
        ("edge[1-10001]", "stands for 10001 names: at most 10000"),
        ("edge[1-999999999999]", "at most 10000"),
        ("r[1-1000]n[1-1000]", "stands for 1000000 names"),
        ("web1,", "something is missing"),
        ("!web1", "something is missing"),
        ("web1&&web2", "something is missing"),
        ("@web", "'@web' is no set"),
        ("@command:", "the id is missing"),
        ("@command:9f3c=broken", "'broken' is no outcome"),
        ("@command:9f3c=", "'' is no outcome"),
    ],
)
def test_what_is_not_understood_is_refused_in_words(text: str, mistake: str) -> None:
    with pytest.raises(SelectorInvalid, match=mistake):
        parse_expression(text, OUTCOMES)


@given(text=st.text(alphabet="ab1[]-,&!^@=/:. \0é", max_size=20))
@PROPERTY
def test_any_text_is_understood_or_refused_and_nothing_else(text: str) -> None:
    with suppress(SelectorInvalid):
        parse_expression(text, OUTCOMES)


@pytest.mark.parametrize(
    ("text", "labels", "fits"),
    [
        ("site=oslo", {"site": "oslo"}, True),
        ("site==oslo", {"site": "oslo"}, True),
        ("site=oslo", {"site": "bergen"}, False),
        ("site=oslo", {}, False),
        ("site!=oslo", {"site": "oslo"}, False),
        ("site!=oslo", {}, True),
        ("site", {"site": ""}, True),
        ("site", {}, False),
        ("!site", {"site": "x"}, False),
        ("!site", {}, True),
        ("site=", {"site": ""}, True),
        ("node/rack=7", {"node/rack": "7"}, True),
        ("site=oslo,role!=db", {"site": "oslo", "role": "web"}, True),
        ("site=oslo,role!=db", {"site": "oslo", "role": "db"}, False),
    ],
)
def test_labels_are_compared_as_they_are_written(text: str, labels: dict[str, str], fits: bool) -> None:
    requirements = parse_requirements([text])
    assert all(requirement.holds(labels.get(requirement.name)) for requirement in requirements) is fits


@pytest.mark.parametrize(
    "text", ["", "site=oslo,", "=oslo", "!site=oslo", "si te", "site=a b", "site>3", "site=\x1b[2J"]
)
def test_what_says_nothing_about_a_label_is_refused(text: str) -> None:
    with pytest.raises(SelectorInvalid, match="says nothing about a label") as raised:
        parse_requirements([text])
    assert "\x1b" not in raised.value.message


@pytest.mark.parametrize(
    ("names", "folded"),
    [
        (["edge01", "edge02", "edge04"], "edge[01-02,04]"),
        (["web"], "web"),
        (["rack1-node1", "rack1-node2", "edge\x1b7"], "edge\\x1b7,rack1-node[1-2]"),
    ],
)
def test_names_are_folded_for_messages(names: Sequence[str], folded: str) -> None:
    assert fold(names) == folded
