"""Two admins on one PostgreSQL: a node of the other is on the other, never offline; both see the same data."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_wire.v1 import enrollment_pb2, node_pb2
from tests.edge_server.command_rows import is_finished
from tests.support.eventually import eventually
from tests.support.harness import Installation, installation
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.postgres


@pytest.fixture
async def two_admins(tmp_path: Path, postgres_database: str) -> AsyncIterator[Installation]:
    """Two admins, the first with all nodes that are added."""
    async with installation(tmp_path, {"database_url": postgres_database}) as site:
        await site.start_admin("first")
        await site.start_admin("second")
        yield site


async def test_a_node_of_the_other_admin_is_on_the_other_and_not_offline(two_admins: Installation) -> None:
    first, second = two_admins.admins
    await two_admins.add_agent("edge01")
    nodes = json.loads((await two_admins.edgectl("node", "list", "-o", "json", app=second)).text)
    assert [(node["name"], node["status"]) for node in nodes] == [("edge01", "online")]
    done = await two_admins.edgectl("exec", "edge01", "-o", "json", "--", "true", app=second)
    error = json.loads(done.text)
    assert (done.code, error["code"], error["started"]) == (255, "node_on_other_admin", False), done.err
    assert first.address.urls[0] in done.err
    fleet = await two_admins.edgectl("exec", "--all", "--", "true", app=second)
    assert fleet.code == 9
    assert "offline" not in fleet.err
    assert (await two_admins.edgectl("exec", "edge01", "--", "echo", "it", app=first)).text == "it\n"


async def add_to_the_second(site: Installation, name: str) -> None:
    """A node that dials the second admin."""
    async with site.operator(app=site.admins[1]) as admin:
        request = enrollment_pb2.CreateEnrollmentKeyRequest(cluster="default", uses=1)
        key = (await admin.call(admin.enrollment_keys.Create, request)).secret
    await site.start_agent(name, enrollment_key=key, node_alias=name)


async def test_what_waits_at_one_admin_runs_when_its_node_is_back_at_the_other(two_admins: Installation) -> None:
    await add_to_the_second(two_admins, "edge01")
    await two_admins.stop_agent("edge01")
    exec_ = await two_admins.start_edgectl("exec", "edge01", "--offline", "queue", "--", "echo", "found")

    async def waits() -> bool:
        listed = json.loads((await two_admins.edgectl("command", "list", "-o", "json")).text)
        shown = [await two_admins.edgectl("command", "show", item["id"], "-o", "json") for item in listed]
        return bool(shown) and json.loads(shown[0].text)["executions"][0]["queued_at"] is not None

    await eventually(waits, what="it waits")
    await two_admins.start_agent("edge01")
    assert await exec_.wait() == 0, exec_.output
    assert "found" in exec_.output


async def test_what_waits_with_its_stdin_never_starts_where_its_stdin_is_not(two_admins: Installation) -> None:
    await add_to_the_second(two_admins, "edge01")
    await two_admins.stop_agent("edge01")
    place = two_admins.directory
    (place / "in").write_text("words\n")
    words = ("--offline", "queue", "--stdin", str(place / "in"), "-o", "jsonl", "--", "tee", str(place / "began"))
    exec_ = await two_admins.start_edgectl("exec", "edge01", *words)
    await eventually(lambda: '"queued"' in exec_.output, what="it waits")
    await two_admins.start_agent("edge01")
    assert await exec_.wait() == 255, exec_.output
    lines = [json.loads(line) for line in exec_.output.splitlines() if line.startswith("{")]
    (end,) = [line for line in lines if line.get("type") == "end"]
    assert (end["outcome"], end["error"]["code"], end["started"]) == ("not_started", "node_on_other_admin", False)
    assert two_admins.admins[1].address.urls[0] in end["error"]["message"]
    assert not (place / "began").exists()


async def test_what_ran_at_one_admin_is_known_at_the_other_as_soon_as_it_is_stored(two_admins: Installation) -> None:
    first, second = two_admins.admins
    await add_to_the_second(two_admins, "edge01")
    await two_admins.stop_agent("edge01")
    made = await two_admins.edgectl(
        "exec", "edge01", "--offline", "queue", "--detach", "-o", "json", "--", "echo", "it", app=first
    )
    command_id = json.loads(made.text)["command"]
    await two_admins.start_agent("edge01")
    await eventually(lambda: is_finished(second.db, command_id), what="its end is stored")
    assert (await two_admins.edgectl("command", "logs", command_id, app=first)).text == "edge01: it\n"


@pytest.mark.parametrize("leaves_again", [False, True])
async def test_whose_turn_comes_while_its_node_is_with_the_other_admin_is_not_offline(
    two_admins: Installation, leaves_again: bool
) -> None:
    await two_admins.add_agent("edge01")
    await add_to_the_second(two_admins, "edge02")
    await two_admins.stop_agent("edge02")
    place = two_admins.directory
    shell = f"[ -e {place}/began ] || {{ touch {place}/began; while [ ! -e {place}/go ]; do sleep 0.05; done; }}"
    exec_ = await two_admins.start_edgectl("exec", "edge[01-02]", "--batch", "1", "--shell", "--", shell)
    await eventually(lambda: (place / "began").exists(), what="the first batch runs")
    await two_admins.start_agent("edge02")
    if leaves_again:
        await two_admins.stop_agent("edge02")
    (place / "go").touch()
    assert await exec_.wait() == (4 if leaves_again else 0), exec_.output
    assert ("offline: edge02" in exec_.output) == leaves_again


async def test_after_the_first_admin_left_its_nodes_are_offline_for_the_second(two_admins: Installation) -> None:
    first, second = two_admins.admins
    await two_admins.add_agent("edge01")
    await two_admins.stop_admin(first)
    await two_admins.wait_status("edge01", node_pb2.NODE_STATUS_OFFLINE)
    done = await two_admins.edgectl("exec", "--all", "--", "true", app=second)
    assert done.code == 4, done.err
    assert "offline: edge01" in done.err


async def test_what_one_admin_ran_the_other_shows(two_admins: Installation) -> None:
    first, second = two_admins.admins
    await two_admins.add_agent("edge01")
    assert (await two_admins.edgectl("exec", "edge01", "--", "false", app=first)).code == 1
    listed = json.loads((await two_admins.edgectl("command", "list", "-o", "json", app=second)).text)
    assert [item["counts"]["failed"] for item in listed] == [1]


async def test_admins_that_start_at_once_agree_on_one_ca(tmp_path: Path, postgres_database: str) -> None:
    async with installation(tmp_path, {"database_url": postgres_database}) as site:
        made = await asyncio.gather(*(site.start_admin(f"admin{number}") for number in range(4)))
        assert len({app.authority.der for app in made}) == 1


async def test_a_database_that_goes_away_and_comes_back(
    two_admins: Installation, postgres_server: PostgresServer
) -> None:
    await two_admins.add_agent("edge01")
    await asyncio.to_thread(postgres_server.stop)
    done = await two_admins.edgectl("exec", "edge01", "-o", "json", "--", "true")
    assert (done.code, json.loads(done.text)["code"]) == (255, "database_unavailable"), done.err
    listed = await two_admins.edgectl("node", "list")
    assert (listed.code, "Traceback" in listed.err) == (9, False)
    await asyncio.to_thread(postgres_server.start)

    async def works() -> bool:
        return (await two_admins.edgectl("exec", "edge01", "--", "echo", "back")).text == "back\n"

    assert await eventually(works, within=30.0)
