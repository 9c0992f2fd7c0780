"""The database goes away in the middle of a command on 500 nodes: nothing is lost, nobody waits without end, and
nothing that was heard while it was away is told as stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from edge_server.db.patient_connection import PatientConnection
from edge_wire.channel import open_channel
from edge_wire.errors import DatabaseUnavailable
from edge_wire.v1 import command_pb2
from tests.edge_server.crowd import Crowd, Watched, a_crowd, watch
from tests.edge_server.scripted_node import executions_of, held_database, run_on
from tests.support.eventually import eventually
from tests.support.harness import Installation
from tests.support.postgres import PostgresServer

NODES = 500
EVERYONE = "n[000-499]"
FANOUT = 200
STORED_BEFORE = 100
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


class Scene:
    """A command on all nodes, watched, of which some ends are stored and many processes run."""

    def __init__(self, site: Installation, crowd: Crowd, command_id: str) -> None:
        self.site, self.crowd, self.command_id = site, crowd, command_id
        self.watching: asyncio.Task[Watched] = asyncio.create_task(watch(site, command_id))

    async def report_all_that_runs(self) -> None:
        """Every node that was told to start reports its end, which nobody can store now."""
        running = sum(self.crowd.starts.values()) - sum(self.crowd.reported.values())
        self.crowd.let_end(running)
        await eventually(
            lambda: sum(self.crowd.reported.values()) == sum(self.crowd.starts.values()), within=30, what="every report"
        )

    async def nothing_is_lost(self) -> None:
        """Let everything end, and compare what was reported with what is stored and what was watched."""
        self.crowd.let_all_end()
        heard = await asyncio.wait_for(self.watching, 90)
        stored = await executions_of(self.site, self.command_id)
        true_codes = {node.name: node.exit_code for node in self.crowd.nodes}
        ids = {execution.id: name for name, execution in stored.items()}
        assert {name: one.end.exit_code for name, one in stored.items()} == true_codes
        assert heard.finished is not None
        assert heard.finished.counts == command_pb2.OutcomeCounts(
            total=NODES, ok=sum(code == 0 for code in true_codes.values()), failed=sum(map(bool, true_codes.values()))
        )
        assert {ids[one]: [end.exit_code for end in ends] for one, ends in heard.ends.items()} == {
            name: [code] for name, code in true_codes.items()
        }
        assert ({ids[one]: text for one, text in heard.output.items()}, heard.gaps) == (
            {name: f"from {name}".encode() for name in true_codes},
            0,
        )
        assert self.crowd.starts == dict.fromkeys(ids, 1)
        await eventually(lambda: set(self.crowd.acknowledged) == set(ids), within=30, what="every acknowledgement")
        assert self.crowd.failures() == []


@asynccontextmanager
async def a_scene(site: Installation) -> AsyncIterator[Scene]:
    """The first ends are stored and acknowledged, and as many nodes as the fan-out allows run."""
    async with a_crowd(site, NODES) as crowd:
        created = await run_on(site, EVERYONE, shell="true", fanout=command_pb2.Portion(count=FANOUT))
        scene = Scene(site, crowd, created.command_id)
        crowd.let_end(STORED_BEFORE)
        await eventually(
            lambda: len(crowd.acknowledged) == STORED_BEFORE and sum(crowd.starts.values()) == STORED_BEFORE + FANOUT,
            within=60,
            what="the first ends are stored and the next nodes have started",
        )
        yield scene


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
