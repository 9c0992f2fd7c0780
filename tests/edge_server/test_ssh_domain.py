"""Accounts for SSH: on which nodes they are good, and what opens the door."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from edge_server.nodes.domain import NodeId, Place
from edge_server.ssh.domain import (
    Account,
    AccountKey,
    Admission,
    Attempt,
    NodesWanted,
    by_key,
    by_password,
    is_account_name,
)
from edge_wire.errors import SelectorInvalid

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
NODE_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
PLACE = Place(
    id=NodeId(NODE_ID),
    cluster_id="c1",
    cluster_name="oslo",
    aliases=["edge07", "web"],
    labels={"site": "oslo", "role": "web"},
)
ATTEMPT = Attempt(place=PLACE, address="10.1.1.1", now=NOON)


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        (NodesWanted(), True),
        (NodesWanted(nodes=["edge07"]), True),
        (NodesWanted(nodes=["web.oslo"]), True),
        (NodesWanted(nodes=["web.bergen"]), False),
        (NodesWanted(nodes=["edge[01-09]"]), True),
        (NodesWanted(nodes=["edge[01-09]!edge07"]), False),
        (NodesWanted(nodes=["edge08", "web"]), True),
        (NodesWanted(nodes=[NODE_ID]), True),
        (NodesWanted(nodes=[f"node-{NODE_ID}.cluster-oslo.nm.internal"]), True),
        (NodesWanted(nodes=[NODE_ID[:8]]), False),
        (NodesWanted(clusters=["oslo"]), True),
        (NodesWanted(clusters=["bergen"]), False),
        (NodesWanted(clusters=["bergen"], nodes=["edge07"]), True),
        (NodesWanted(labels=["site=oslo,role!=db"]), True),
        (NodesWanted(labels=["site=bergen"]), False),
        (NodesWanted(labels=["!site"]), False),
        (NodesWanted(clusters=["oslo"], labels=["rack"]), False),
        (NodesWanted(clusters=["oslo"], exclude=["web"]), False),
        (NodesWanted(scope=["c1"]), True),
        (NodesWanted(scope=["c2"]), False),
        (NodesWanted(nodes=["edge07"], scope=[]), False),
    ],
)
def test_the_nodes_of_an_account(wanted: NodesWanted, holds: bool) -> None:
    wanted.check()
    assert wanted.hold(PLACE) is holds


@pytest.mark.parametrize("text", ["@command:9f3c=failed", "edge[01-", ",", "edge07,"])
def test_nodes_that_could_never_be_asked_for_are_refused(text: str) -> None:
    with pytest.raises(SelectorInvalid):
        NodesWanted(nodes=[text]).check()


def account(**fields: object) -> Account:
    known = {"id": "u1", "name": "alice", "wanted": NodesWanted(), "local_account": "deploy"}
    return Account(**{"password_hash": None, "expires_at": None, **known, **fields})  # type: ignore[arg-type]


def key(**fields: object) -> AccountKey:
    return AccountKey(**{"id": "k1", "sources": [], "expires_at": None, **fields})  # type: ignore[arg-type]


ADMITTED = Admission(id="a1", local_account="root", expires_at=NOON + timedelta(minutes=1))


def test_a_key_of_the_account_opens_as_its_local_account() -> None:
    login = by_key(ATTEMPT, account(), [key()], None)
    assert login is not None
    assert (login.local_account, login.credential_id) == ("deploy", "key/k1")


@pytest.mark.parametrize(
    ("user", "keys"),
    [
        (None, []),
        (account(), []),
        (account(expires_at=NOON), [key()]),
        (account(wanted=NodesWanted(clusters=["bergen"])), [key()]),
        (account(), [key(expires_at=NOON)]),
        (account(), [key(sources=["192.0.2.0/24"])]),
    ],
)
def test_a_key_opens_nothing_else(user: Account | None, keys: list[AccountKey]) -> None:
    assert by_key(ATTEMPT, user, keys, None) is None
    admitted = by_key(ATTEMPT, user, keys, ADMITTED)
    assert admitted is not None
    assert admitted.credential_id == "admission/a1"


def test_an_admission_ends() -> None:
    late = Attempt(place=PLACE, address="10.1.1.1", now=ADMITTED.expires_at)
    assert by_key(late, None, [], ADMITTED) is None


@pytest.mark.parametrize(
    ("user", "is_right", "opens"),
    [
        (account(), True, True),
        (account(), False, False),
        (None, True, False),
        (account(expires_at=NOON), True, False),
        (account(wanted=NodesWanted(exclude=["web"])), True, False),
    ],
)
def test_a_password(user: Account | None, is_right: bool, opens: bool) -> None:
    assert (by_password(ATTEMPT, user, is_right=is_right) is not None) is opens


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        *(("alice", True), ("_a-b.c1", True), ("a" * 32, True), ("a" * 33, False), ("Alice", False), ("", False)),
        *(("-a", False), ("1a", False), ("a b", False), ("a\n", False), ("*", False), ("a;id", False)),
    ],
)
def test_names_of_accounts(name: str, is_one: bool) -> None:
    assert is_account_name(name) is is_one
