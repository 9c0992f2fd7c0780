"""Checks how a node reference is read, and what a node shows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from edge_server.nodes.domain import NodeStatus, Reference, bounded_facts, nearest, parse_reference, status_of
from edge_server.nodes.presence import is_clone, superseded_after
from tests.edge_server.fleet import NOON

ID = "3f2a91c4-0b1d-4e5f-8a6b-7c8d9e0f1a2b"


@pytest.mark.parametrize(
    ("text", "alias", "cluster", "id_prefix"),
    [
        ("web1", "web1", None, None),
        ("web1.oslo", "web1", "oslo", None),
        (ID, None, None, ID),
        ("3f2a", "3f2a", None, "3f2a"),
        ("3f2", "3f2", None, None),
        ("3f2a91c4-0b1d", "3f2a91c4-0b1d", None, "3f2a91c4-0b1d"),
        ("3f2a.oslo", "3f2a", "oslo", "3f2a"),
        (f"node-{ID}", None, None, ID),
        ("node-3f2a", "3f2a", None, "3f2a"),
        (f"node-{ID}.cluster-oslo.nm.internal", None, "oslo", ID),
        ("node-web1.cluster-oslo.nm.internal", "web1", "oslo", None),
        ("node-web1.cluster-oslo.nm.internal.", "web1", "oslo", None),
        ("node-web1.cluster-oslo", "web1", "oslo", None),
        ("  WEB1.Oslo ", "web1", "oslo", None),
        ("-web", None, None, None),
        ("", None, None, None),
        ("web1\0", None, None, None),
        ("%", None, None, None),
        ("a" * 64, None, None, None),
    ],
)
def test_a_reference_is_an_alias_an_id_a_prefix_of_one_or_the_dns_form(
    text: str, alias: str | None, cluster: str | None, id_prefix: str | None
) -> None:
    assert parse_reference(text) == Reference(text=text, alias=alias, cluster=cluster, id_prefix=id_prefix)


def test_another_dns_domain_is_read_when_it_is_the_installations() -> None:
    parsed = parse_reference("node-web1.cluster-oslo.vpn.example", domain="vpn.example")
    assert (parsed.alias, parsed.cluster) == ("web1", "oslo")


@pytest.mark.parametrize(
    ("is_connected", "conflict_ago", "status"),
    [
        (True, None, NodeStatus.ONLINE),
        (False, None, NodeStatus.OFFLINE),
        (True, timedelta(minutes=9), NodeStatus.CONFLICT),
        (False, timedelta(minutes=9), NodeStatus.CONFLICT),
        (True, timedelta(minutes=10), NodeStatus.ONLINE),
        (False, timedelta(minutes=11), NodeStatus.OFFLINE),
    ],
)
def test_a_conflict_shows_for_ten_minutes_and_then_the_session_counts(
    is_connected: bool, conflict_ago: timedelta | None, status: NodeStatus
) -> None:
    conflict_at = None if conflict_ago is None else NOON - conflict_ago
    assert status_of(is_connected=is_connected, conflict_at=conflict_at, now=NOON) is status


def test_facts_are_cut_and_made_printable() -> None:
    facts = bounded_facts({"hostname": "web\x1b[31m", "os": "x" * 200, "cpu_count": 4})
    assert facts == {"hostname": "web\\x1b[31m", "os": "x" * 128 + "…", "cpu_count": 4}


def test_names_that_come_near_are_offered_best_first() -> None:
    known = ["web10", "web1", "db1", "printer"]
    assert nearest("web11", known) == ["web1", "web10"]
    assert nearest("zzz", known) == []


def test_an_agent_start_that_was_replaced_and_comes_back_is_a_clone() -> None:
    assert is_clone("first", ["first"])
    assert not is_clone("second", ["first"])


@pytest.mark.parametrize(
    ("current", "instance", "superseded", "after"),
    [
        (None, "first", [], []),
        ("first", "first", [], []),
        ("first", "second", [], ["first"]),
        ("second", "third", ["first"], ["first", "second"]),
    ],
)
def test_a_new_agent_start_replaces_the_one_before_and_the_same_one_replaces_itself(
    current: str | None, instance: str, superseded: list[str], after: list[str]
) -> None:
    assert superseded_after(current, instance, superseded) == after


def test_the_thirty_two_newest_replaced_starts_are_remembered() -> None:
    after = superseded_after("start 32", "start 33", [f"start {number}" for number in range(32)])
    assert (len(after), after[0], after[-1]) == (32, "start 1", "start 32")
