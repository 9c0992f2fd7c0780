"""Checks names and labels: what is allowed, what is refused, and that untrusted text never reaches a terminal raw."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_wire.errors import LabelInvalid, NameInvalid
from edge_wire.names import check_alias, check_cluster_name, check_labels, dns_name, node_name, printable

ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
NO_DNS_LABELS = ["", "-a", "a-", "A", "a.b", "a_b", "a b", "ä", "٣", "a\n", "a\x00", "\x1b[31m"]


@pytest.mark.parametrize("name", ["a", "7", "oslo", "eu-north-1", "a--b", "node-1", "a" * 24])
def test_a_cluster_is_called_by_a_short_dns_label(name: str) -> None:
    assert check_cluster_name(name) == name


@pytest.mark.parametrize("name", [*NO_DNS_LABELS, "a" * 25])
def test_any_other_cluster_name_is_refused(name: str) -> None:
    with pytest.raises(NameInvalid):
        check_cluster_name(name)


@pytest.mark.parametrize("name", ["a", "7", "web-1", "node", "nodes-1", "deadbeef", ID[:-1], "a" * 63])
def test_an_alias_is_a_dns_label(name: str) -> None:
    assert check_alias(name) == name


@pytest.mark.parametrize("name", [*NO_DNS_LABELS, "a" * 64, "node-1", ID])
def test_any_other_alias_is_refused_and_so_is_what_looks_like_an_id(name: str) -> None:
    with pytest.raises(NameInvalid):
        check_alias(name)


@pytest.mark.parametrize("check", [check_cluster_name, check_alias])
def test_a_refused_name_is_quoted_without_its_control_characters(check: object) -> None:
    assert callable(check)
    with pytest.raises(NameInvalid) as raised:
        check("web\x1b[2J\n")
    assert raised.value.message.isprintable()
    assert "web" in raised.value.message


def test_labels_come_back_as_they_are() -> None:
    labels = {"site": "oslo", "rack": "", "v1.2/role_a-b": "a.b_c:d/e@f+g-h", "n" * 63: "v" * 128}
    assert check_labels(labels) == labels


@pytest.mark.parametrize("name", ["", "-a", "a-", ".a", "a/", "a b", "ä", "a\n", "a=b", "n" * 64])
def test_a_label_needs_a_plain_name(name: str) -> None:
    with pytest.raises(LabelInvalid):
        check_labels({name: "x"})


@pytest.mark.parametrize("value", ["a b", "ä", "a\n", "\x00", "a,b", "a=b", "v" * 129])
def test_a_label_needs_a_plain_value(value: str) -> None:
    with pytest.raises(LabelInvalid):
        check_labels({"site": value})


def test_there_may_be_32_labels_and_no_more() -> None:
    labels = {f"l{number}": "" for number in range(32)}
    assert check_labels(labels) == labels
    with pytest.raises(LabelInvalid, match="33 labels are too many"):
        check_labels({**labels, "l32": ""})


def test_what_an_agent_says_of_itself_lives_under_a_prefix_that_nobody_else_may_use() -> None:
    assert check_labels({"arch": "aarch64"}, agent=True) == {"node/arch": "aarch64"}
    with pytest.raises(LabelInvalid, match="node/"):
        check_labels({"node/arch": "aarch64"})


def test_a_node_is_called_by_its_first_alias_or_else_by_its_id() -> None:
    assert node_name(ID, "web-1") == "web-1"
    assert node_name(ID, None) == f"node-{ID}"


def test_the_dns_form_names_node_cluster_and_domain() -> None:
    assert dns_name(node_id=ID, first_alias="web-1", cluster="oslo") == "node-web-1.cluster-oslo.nm.internal"
    assert dns_name(node_id=ID, first_alias=None, cluster="oslo") == f"node-{ID}.cluster-oslo.nm.internal"
    assert dns_name(node_id=ID, first_alias="a", cluster="b", domain="example.org") == "node-a.cluster-b.example.org"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – Ünïcode 日本 🙂", "plain – Ünïcode 日本 🙂"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x7f\x85\x9b", r"\x7f\x85\x9b"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("line\u2028end\u2029", r"line\u2028end\u2029"),
        ("\udcff", r"\udcff"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_is_not_text_becomes_visible(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_text_is_cut_and_says_so() -> None:
    assert printable("abcdef", 6) == "abcdef"
    assert printable("abcdefg", 6) == "abcdef…"


@settings(deadline=None, derandomize=True)
@given(st.text(st.characters()) | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"])))
def test_printable_text_is_one_line_of_encodable_characters_without_controls(text: str) -> None:
    shown = printable(text)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert len(shown.splitlines()) <= 1
    shown.encode()


@settings(deadline=None, derandomize=True)
@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=200))
def test_printable_text_is_left_alone(text: str) -> None:
    assert printable(text) == text
