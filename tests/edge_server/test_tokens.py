"""Checks credentials on both databases: who a token is, until when, where, and what revoking does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from edge_server.clusters.service import ClusterService
from edge_server.db.database import Database
from edge_server.nodes.service import count_by_cluster
from edge_server.principals.domain import Role
from edge_server.principals.service import NewToken, PrincipalService, builtin_keys
from edge_wire.errors import (
    ClusterNotFound,
    CredentialExpired,
    Denied,
    EdgeError,
    NameInvalid,
    ScopeDenied,
    TokenExists,
    TokenNotFound,
    Unauthenticated,
)
from tests.edge_server.fleet import ALICE, NOON, WallClock, a_caller, add_cluster

HOUR = timedelta(hours=1)
BUILTINS = builtin_keys("the master key", {Role.OPERATOR: "the api key", Role.MCP: None, Role.PROXY: "the master key"})


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture
async def tokens(db: Database, clock: WallClock) -> PrincipalService:
    await db.write(lambda tx: [add_cluster(tx, "oslo"), add_cluster(tx, "bergen")])
    return PrincipalService(db=db, builtins=BUILTINS, now=clock)


def wish(
    name: str = "ci",
    *,
    role: Role = Role.OPERATOR,
    clusters: Sequence[str] = (),
    expires_in: timedelta | None = None,
) -> NewToken:
    return NewToken(name=name, role=role, cluster_names=clusters, expires_in=expires_in)


@pytest.mark.parametrize(
    ("token", "name", "role"),
    [("the master key", "master", Role.ADMIN), ("the api key", "operator-key", Role.OPERATOR)],
)
async def test_keys_from_the_settings_are_principals_and_the_master_key_comes_first(
    tokens: PrincipalService, token: str, name: str, role: Role
) -> None:
    principal = await tokens.authenticate(token, NOON)
    assert (principal.name, principal.role, principal.cluster_ids) == (name, role, None)


@pytest.mark.parametrize("token", ["", "the master", "the master key ", "\0", "\ud800"])
async def test_any_other_word_is_nobody(tokens: PrincipalService, token: str) -> None:
    with pytest.raises(Unauthenticated):
        await tokens.authenticate(token, NOON)


async def test_a_token_is_the_principal_it_was_made_for(tokens: PrincipalService) -> None:
    created, token = await tokens.create(ALICE, wish(clusters=["oslo"]))
    principal = await tokens.authenticate(token, NOON)
    assert principal == created
    assert (principal.name, principal.role, principal.cluster_names) == ("ci", Role.OPERATOR, ("oslo",))
    assert principal.cluster_ids == frozenset({"id-of-oslo"})


async def test_a_token_works_until_the_moment_it_expires(tokens: PrincipalService) -> None:
    _, token = await tokens.create(ALICE, wish(expires_in=HOUR))
    await tokens.authenticate(token, NOON + HOUR - timedelta(microseconds=1))
    with pytest.raises(CredentialExpired):
        await tokens.authenticate(token, NOON + HOUR)


async def test_a_revoked_token_is_nobodys_and_its_name_is_free_again(tokens: PrincipalService) -> None:
    _, token = await tokens.create(ALICE, wish())
    await tokens.delete(ALICE, "ci")
    with pytest.raises(Unauthenticated):
        await tokens.authenticate(token, NOON)
    with pytest.raises(TokenNotFound):
        await tokens.get(ALICE, "ci")
    await tokens.create(ALICE, wish())
    assert [principal.name for principal in await tokens.list_all(ALICE)] == ["ci"]


async def test_a_name_is_taken_once_also_by_many_at_once(tokens: PrincipalService) -> None:
    results = await asyncio.gather(*(tokens.create(ALICE, wish()) for _ in range(6)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == [*["TokenExists"] * 5, "tuple"]
    with pytest.raises(TokenExists, match="a token named ci exists"):
        await tokens.create(ALICE, wish())


async def test_deleting_the_last_cluster_of_a_token_does_not_widen_it(tokens: PrincipalService, db: Database) -> None:
    _, token = await tokens.create(ALICE, wish(clusters=["oslo"]))
    await ClusterService(db=db, count_nodes=count_by_cluster, now=WallClock()).delete(ALICE, "oslo")
    principal = await tokens.authenticate(token, NOON)
    assert (principal.cluster_ids, principal.cluster_names) == (frozenset(), ())


async def test_a_token_is_found_by_its_name_or_four_characters_of_its_id(tokens: PrincipalService) -> None:
    principal, _ = await tokens.create(ALICE, wish())
    assert await tokens.get(ALICE, "ci") == principal
    assert await tokens.get(ALICE, principal.id[:4]) == principal
    assert await tokens.get(ALICE, principal.id) == principal
    for reference in (principal.id[:3], "%%%%", "", "c"):
        with pytest.raises(TokenNotFound):
            await tokens.get(ALICE, reference)


async def test_a_name_wins_over_an_id_that_begins_so(tokens: PrincipalService) -> None:
    first, _ = await tokens.create(ALICE, wish("first"))
    second, _ = await tokens.create(ALICE, wish(first.id[:8]))
    assert await tokens.get(ALICE, first.id[:8]) == second


async def test_tokens_are_listed_newest_first(tokens: PrincipalService, clock: WallClock) -> None:
    for name in ("one", "two", "three"):
        await tokens.create(ALICE, wish(name))
        clock.advance(HOUR)
    assert [principal.name for principal in await tokens.list_all(ALICE)] == ["three", "two", "one"]


async def test_nobody_hands_out_more_than_he_has(tokens: PrincipalService) -> None:
    with pytest.raises(Denied, match="cannot hand out the role admin"):
        await tokens.create(a_caller(role=Role.OPERATOR), wish(role=Role.ADMIN))
    with pytest.raises(ScopeDenied):
        await tokens.create(a_caller(clusters=["id-of-oslo"]), wish(clusters=["oslo"]))
    with pytest.raises(ScopeDenied):
        await tokens.list_all(a_caller(clusters=["id-of-oslo"]))


async def test_a_token_for_a_cluster_that_is_not_there_is_not_made(tokens: PrincipalService) -> None:
    with pytest.raises(ClusterNotFound, match="'molde'"):
        await tokens.create(ALICE, wish(clusters=["oslo", "molde"]))
    with pytest.raises(NameInvalid):
        await tokens.create(ALICE, wish("Not A Name"))
    assert await tokens.list_all(ALICE) == []


@pytest.mark.parametrize("life", [timedelta(days=3_000_000), timedelta(seconds=-1)])
async def test_a_life_that_no_token_can_have_is_refused(tokens: PrincipalService, life: timedelta) -> None:
    with pytest.raises(EdgeError):
        await tokens.create(ALICE, wish(expires_in=life))


async def test_a_reference_with_a_nul_character_is_simply_not_there(tokens: PrincipalService) -> None:
    with pytest.raises(TokenNotFound):
        await tokens.get(ALICE, "ci\0")
