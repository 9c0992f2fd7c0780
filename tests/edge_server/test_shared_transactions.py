"""Checks writes that share transactions: each gets what is its own, and none is lost or harmed by another one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, event, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from edge_server.clusters.models import ClusterRow
from edge_server.db.database import Database
from edge_server.db.shared_transactions import SharedTransactions
from edge_wire.errors import NodeNotFound
from tests.edge_server.fleet import add_cluster


@contextmanager
def counted_commits() -> Iterator[list[None]]:
    found: list[None] = []

    def count(_connection: object) -> None:
        found.append(None)

    event.listen(Engine, "commit", count)
    try:
        yield found
    finally:
        event.remove(Engine, "commit", count)


def add(name: str) -> Callable[[Session], str]:
    return lambda tx: add_cluster(tx, name)


async def count_clusters(db: Database) -> int:
    return await db.read(lambda tx: tx.scalars(select(func.count()).select_from(ClusterRow)).one())


async def test_a_crowd_shares_transactions_and_each_gets_its_own_result(db: Database) -> None:
    writes = SharedTransactions(db.write)
    names = [f"c{number}" for number in range(200)]
    with counted_commits() as commits:
        ids = await asyncio.gather(*(writes.run(add(name)) for name in names))
    assert ids == [f"id-of-{name}" for name in names]
    assert len(commits) <= 1 + 200 // 64 + 1
    assert await count_clusters(db) == 200


async def test_what_is_refused_harms_no_other_one(db: Database) -> None:
    def refuse(_tx: Session) -> None:
        raise NodeNotFound

    writes = SharedTransactions(db.write)
    asked = [writes.run(add("oslo")), writes.run(refuse), writes.run(refuse)]
    written, *refused = await asyncio.gather(*asked, return_exceptions=True)
    assert written == "id-of-oslo"
    assert [type(error) for error in refused] == [NodeNotFound, NodeNotFound]
    assert refused[0] is not refused[1]
    assert await count_clusters(db) == 1


async def test_a_failing_database_is_told_to_all_and_the_next_ones_go_on(db: Database) -> None:
    writes = SharedTransactions(db.write)
    await writes.run(add("oslo"))
    asked = [writes.run(add(name)) for name in ("bergen", "oslo")]
    assert [type(error) for error in await asyncio.gather(*asked, return_exceptions=True)] == [IntegrityError] * 2
    assert await writes.run(add("bergen")) == "id-of-bergen"


async def test_whoever_is_cancelled_takes_nobody_along(db: Database) -> None:
    writes = SharedTransactions(db.write)
    first = asyncio.create_task(writes.run(add("oslo")))
    second = asyncio.create_task(writes.run(add("bergen")))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second == "id-of-bergen"
