"""The database goes away in the middle of a command on 500 nodes: nothing is lost, nobody waits without end, and
nothing that was heard while it was away is told as stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from edge_server.db.patient_connection import PatientConnection
from edge_wire.channel import open_channel
from edge_wire.errors import DatabaseUnavailable
from tests.edge_server.crowd import a_crowd
from tests.edge_server.scene import STORED_BEFORE, a_scene
from tests.edge_server.scripted_node import held_database, run_on
from tests.support.harness import Installation
from tests.support.postgres import PostgresServer

LONG = 30.0

Outage = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def outage(database_kind: str, request: pytest.FixtureRequest, site: Installation) -> Outage:
    """What makes the database go away: another program holds SQLite's file, PostgreSQL's server dies."""
    if database_kind == "sqlite":
        return lambda: held_database(site)
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return lambda: stopped(server)


@contextmanager
def stopped(server: PostgresServer) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def frozen(server: PostgresServer) -> Iterator[None]:
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


async def a_new_command_is_refused(site: Installation) -> DatabaseUnavailable:
    """Within the time-out of an ordinary call."""
    with pytest.raises(DatabaseUnavailable) as raised:
        await run_on(site, "n000", shell="true")
    assert (raised.value.code, raised.value.started) == ("database_unavailable", "no")
    assert raised.value.hint == "repeat it in a moment"
    return raised.value


async def the_admin_answers(site: Installation) -> None:
    """Health needs no database, and a status that needs it fails instead of hanging."""
    channel = open_channel(site.admin.address.urls[0], [site.admin.authority.der])
    try:
        health = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    finally:
        await channel.close()


@pytest.mark.timeout(240)
async def test_a_database_that_goes_away_in_the_middle_of_a_command_costs_nothing(
    site: Installation, outage: Outage
) -> None:
    async with a_scene(site) as scene:
        with outage():
            await scene.report_all_that_runs()
            await a_new_command_is_refused(site)
            await the_admin_answers(site)
            assert len(scene.crowd.acknowledged) == STORED_BEFORE
        await scene.nothing_is_lost()
        await run_on(site, "n000", shell="true")


async def test_an_admin_stops_although_its_database_is_down(site: Installation, outage: Outage) -> None:
    async with a_crowd(site, 3):
        with outage():
            await asyncio.wait_for(site.stop_admin(), 60)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_database_that_is_away_for_half_a_minute_costs_nothing(site: Installation, outage: Outage) -> None:
    async with a_scene(site) as scene:
        with outage():
            await scene.report_all_that_runs()
            await asyncio.sleep(LONG)  # what is tested is this time
            await a_new_command_is_refused(site)
            await the_admin_answers(site)
            assert len(scene.crowd.acknowledged) == STORED_BEFORE
        await scene.nothing_is_lost()


@pytest.mark.postgres
@pytest.mark.timeout(240)
async def test_a_database_server_that_is_frozen_holds_nobody_for_ever(
    site: Installation, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kernel goes on answering: no connection breaks, new ones are made, and nothing is ever said on them."""
    monkeypatch.setattr(PatientConnection, "silence_limit", 1.0)
    async with a_scene(site) as scene:
        with frozen(postgres_server):
            await scene.report_all_that_runs()
            await a_new_command_is_refused(site)
            await the_admin_answers(site)
            assert len(scene.crowd.acknowledged) == STORED_BEFORE
        await scene.nothing_is_lost()
