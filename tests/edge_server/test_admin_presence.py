"""When an admin may call another one dead: not while the database was away, for then nobody could say that it lives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from edge_server.admins.models import AdminRow
from edge_server.admins.service import AdminPresence
from edge_server.commands.domain import CommandId
from edge_server.db.database import Database
from edge_wire.v1 import command_pb2
from tests.edge_server.crowd import a_crowd
from tests.edge_server.fleet import WallClock
from tests.edge_server.scripted_node import ended, run_on
from tests.support.eventually import eventually
from tests.support.harness import Installation

INTERVAL = timedelta(seconds=5)


async def beat_for(presence: AdminPresence, clock: WallClock, span: timedelta) -> None:
    until = clock() + span
    while clock() < until:
        clock.advance(INTERVAL)
        await presence.beat()


async def test_it_judges_from_the_start_and_after_an_outage_when_all_had_time_to_show_up(
    db: Database,
) -> None:
    clock = WallClock()
    presence = AdminPresence(db=db, admin_id="admin-1", version="0", urls=[], now=clock)
    assert not presence.may_judge()
    await presence.beat()
    assert presence.may_judge()
    await beat_for(presence, clock, timedelta(minutes=1))
    assert presence.may_judge()
    clock.advance(timedelta(seconds=30))
    assert not presence.may_judge()
    await presence.beat()
    assert not presence.may_judge()
    await beat_for(presence, clock, timedelta(seconds=15))
    assert not presence.may_judge()
    await beat_for(presence, clock, timedelta(seconds=5))
    assert presence.may_judge()


@pytest.mark.postgres
async def test_after_an_outage_no_admin_takes_the_commands_of_one_that_lives(bare: Installation) -> None:
    """It would pace them without the nodes' sessions, and call every node offline whose turn comes."""
    first = await bare.start_admin("first")
    async with a_crowd(bare, 6) as crowd:
        created = await run_on(bare, "n[000-005]", shell="true", fanout=command_pb2.Portion(count=1))
        await eventually(lambda: len(crowd.starts) == 1)
        second = await bare.start_admin("second", reconnect_grace_seconds=0)
        before = datetime.now(UTC) - timedelta(seconds=30)
        second._presence._beaten_at = before
        silenced = update(AdminRow).where(AdminRow.id == first.admin_id).values(seen_at=before)
        await second.db.write(lambda tx: tx.execute(silenced))
        (adopt,) = [job for job in second._jobs._jobs if job.name == "adopt orphans"]
        await adopt.run()
        crowd.let_all_end()
        outcomes = await ended(bare, created.command_id, within=30)
        assert set(outcomes.values()) == {"ok", "failed"}, outcomes
        assert second._dispatcher.find_run(CommandId(created.command_id)) is None
