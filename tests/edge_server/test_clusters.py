"""Checks clusters on both databases: names, limits, scope and what deleting needs."""

from __future__ import annotations

import asyncio

import pytest

from edge_server.clusters.service import ClusterService, ensure_default_cluster
from edge_server.db.database import Database
from edge_server.nodes.service import count_by_cluster
from edge_wire.errors import (
    ClusterExists,
    ClusterNotEmpty,
    ClusterNotFound,
    EdgeError,
    NameInvalid,
    NodeLimitReached,
    ScopeDenied,
)
from tests.edge_server.fleet import ALICE, NOON, WallClock, a_caller, add_cluster, add_node

IN_OSLO = a_caller(clusters=["id-of-oslo"])


@pytest.fixture
def clusters(db: Database) -> ClusterService:
    return ClusterService(db=db, count_nodes=count_by_cluster, now=WallClock())


async def test_a_cluster_is_created_shown_and_listed_by_name(clusters: ClusterService) -> None:
    await clusters.create(ALICE, "oslo", None)
    created = await clusters.create(ALICE, "bergen", 5)
    assert (created.name, created.node_limit, created.node_count, created.created_at) == ("bergen", 5, 0, NOON)
    assert await clusters.get(ALICE, "bergen") == created
    assert [cluster.name for cluster in await clusters.list_all(ALICE)] == ["bergen", "oslo"]


async def test_a_name_is_taken_once(clusters: ClusterService) -> None:
    await clusters.create(ALICE, "oslo", None)
    with pytest.raises(ClusterExists, match="cluster oslo exists"):
        await clusters.create(ALICE, "oslo", None)


async def test_of_many_who_create_the_same_cluster_at_once_one_does(clusters: ClusterService) -> None:
    attempts = (clusters.create(ALICE, "oslo", None) for _ in range(8))
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Cluster", *["ClusterExists"] * 7]


@pytest.mark.parametrize("name", ["", "Oslo", "-oslo", "oslo.north", "a" * 25, "os\0lo"])
async def test_a_name_that_is_no_dns_label_is_refused(clusters: ClusterService, name: str) -> None:
    with pytest.raises(NameInvalid):
        await clusters.create(ALICE, name, None)


async def test_what_is_not_there_is_named(clusters: ClusterService) -> None:
    with pytest.raises(ClusterNotFound, match="there is no cluster 'oslo'") as raised:
        await clusters.get(ALICE, "oslo")
    assert raised.value.hint == "edgectl cluster list"


async def test_a_limit_below_what_is_enrolled_is_refused(clusters: ClusterService, db: Database) -> None:
    await db.write(lambda tx: [add_cluster(tx, "oslo"), add_node(tx, "oslo", "aaaa1"), add_node(tx, "oslo", "aaaa2")])
    with pytest.raises(NodeLimitReached, match="has 2 nodes already"):
        await clusters.update(ALICE, "oslo", 1)
    assert (await clusters.update(ALICE, "oslo", 2)).node_limit == 2
    assert (await clusters.update(ALICE, "oslo", None)).node_limit is None


async def test_a_cluster_is_deleted_only_when_it_is_empty(clusters: ClusterService, db: Database) -> None:
    await db.write(lambda tx: [add_cluster(tx, "oslo"), add_node(tx, "oslo", "aaaa1"), add_cluster(tx, "bergen")])
    with pytest.raises(ClusterNotEmpty, match="cluster oslo has 1 nodes"):
        await clusters.delete(ALICE, "oslo")
    await clusters.delete(ALICE, "bergen")
    assert [cluster.name for cluster in await clusters.list_all(ALICE)] == ["oslo"]


async def test_a_confined_credential_sees_its_own_clusters_and_makes_none(
    clusters: ClusterService, db: Database
) -> None:
    await db.write(lambda tx: [add_cluster(tx, "oslo"), add_cluster(tx, "bergen")])
    assert [cluster.name for cluster in await clusters.list_all(IN_OSLO)] == ["oslo"]
    assert await clusters.list_all(a_caller(clusters=[])) == []
    for attempt in (
        clusters.get(IN_OSLO, "bergen"),
        clusters.update(IN_OSLO, "bergen", 1),
        clusters.create(IN_OSLO, "molde", None),
        clusters.delete(IN_OSLO, "oslo"),
    ):
        with pytest.raises(ScopeDenied):
            await attempt


async def test_the_default_cluster_is_made_in_an_installation_without_any(db: Database) -> None:
    await db.write(lambda tx: ensure_default_cluster(tx, "", NOON))
    await db.write(lambda tx: ensure_default_cluster(tx, "default", NOON))
    await db.write(lambda tx: ensure_default_cluster(tx, "another", NOON))
    clusters = await ClusterService(db=db, count_nodes=count_by_cluster, now=WallClock()).list_all(ALICE)
    assert [cluster.name for cluster in clusters] == ["default"]


async def test_a_limit_that_a_call_can_carry_is_kept_or_refused_and_no_internal_error(clusters: ClusterService) -> None:
    largest_uint32 = 4_294_967_295
    try:
        cluster = await clusters.create(ALICE, "oslo", largest_uint32)
    except EdgeError:
        return
    assert cluster.node_limit == largest_uint32


async def test_a_name_with_a_nul_character_is_simply_not_there(clusters: ClusterService) -> None:
    with pytest.raises(ClusterNotFound):
        await clusters.get(ALICE, "os\0lo")
