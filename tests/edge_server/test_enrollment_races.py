"""Checks an agent that asks twice at once, because its first answer was slow: still one node and one use."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.orm import Session

from edge_server.clusters.service import lock_cluster
from edge_server.db.database import Database
from edge_server.enrollment.service import EnrollmentService, NewKey
from edge_wire import certificates
from tests.edge_server.agents import Agent
from tests.edge_server.fleet import ALICE, WallClock, add_cluster
from tests.support.databases import count_waiting
from tests.support.eventually import eventually


async def both_wait_for_the_cluster(db: Database) -> None:
    """On PostgreSQL: until both transactions have looked for the node and queue for their turn."""
    await eventually(lambda: db.read(lambda tx: count_waiting(tx) == 2), what="two enrollments that wait")


@pytest.mark.parametrize("uses", [1, 5, 0])
async def test_an_agent_that_asks_twice_at_once_becomes_one_node_and_spends_one_use(db: Database, uses: int) -> None:
    await db.write(lambda tx: add_cluster(tx, "oslo"))
    authority = certificates.new_authority("test")
    enrollment = EnrollmentService(db=db, authority=authority, now=WallClock())
    made = await enrollment.create(ALICE, NewKey(cluster_name="oslo", uses=uses, expires_in=None, labels={}))
    application = Agent("token").application(made)
    release, is_held = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold(tx: Session) -> None:
        lock_cluster(tx, "id-of-oslo")
        loop.call_soon_threadsafe(is_held.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()

    holder = asyncio.create_task(db.write(hold))
    await is_held.wait()
    attempts = [asyncio.create_task(enrollment.enroll(application)) for _ in range(2)]
    if not db.is_sqlite:
        await both_wait_for_the_cluster(db)
    release.set()
    await holder
    first, second = await asyncio.gather(*attempts)
    assert first.node == second.node
    assert sorted([first.is_new, second.is_new]) == [False, True]
    assert (await enrollment.get(ALICE, made[0].id)).uses_left == (uses - 1 if uses else None)
