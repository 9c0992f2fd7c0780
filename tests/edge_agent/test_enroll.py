"""Enrolling a real agent when the network or the admin is not there: answers that get lost, admins that come later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge_agent.enroll import Wishes, enroll
from edge_agent.identity import load_identity, load_or_make_keys
from edge_agent.status import collect_status
from edge_wire import credentials
from edge_wire.errors import DatabaseUnavailable, EnrollmentKeySpent, SecretInvalid, Unavailable
from edge_wire.v1 import enrollment_pb2, node_pb2
from tests.support.eventually import eventually
from tests.support.harness import Installation, installation
from tests.support.local_ports import free_port
from tests.support.postgres import PostgresServer

ONLINE = node_pb2.NODE_STATUS_ONLINE
NO_WISHES = Wishes(labels={})
_TLS_DATA, _TLS_HEADER = 23, 5
_REQUEST_SIZE = 400
"""A request to enroll is a TLS record of at least so many bytes, and nothing that a client says before it is."""


def at(key: str, *urls: str) -> str:
    """The same enrollment key with other addresses."""
    secret = credentials.decode_enrollment(key)
    changed = enrollment_pb2.EnrollmentSecret()
    changed.CopyFrom(secret)
    del changed.admin_urls[:]
    changed.admin_urls.extend(urls)
    return credentials.encode_enrollment(changed)


class Relay:
    """A wire to an admin that delivers the first requests to enroll and loses their answers."""

    def __init__(self, site: Installation, *, losing: int) -> None:
        self._site = site
        self._port = site.admin.address.port
        self._losing = losing
        self.lost = 0
        self._server: asyncio.Server | None = None
        self._carrying: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        is_losing = self.lost < self._losing
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        answering = asyncio.create_task(_copy(there, writer))
        try:
            while True:
                header = await reader.readexactly(_TLS_HEADER)
                size = int.from_bytes(header[3:5])
                is_request = header[0] == _TLS_DATA and size > _REQUEST_SIZE
                body = await reader.readexactly(size)
                if is_losing and is_request:
                    answering.cancel()
                    await asyncio.wait({answering})
                back.write(header + body)
                await back.drain()
                if is_losing and is_request:
                    await eventually(self._is_a_node, what="a node that does not know it yet")
                    self.lost += 1
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            answering.cancel()
            writer.close()
            back.close()
            self._carrying.discard(task)

    async def _is_a_node(self) -> bool:
        return len(await self._site.nodes()) == 1


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(64 * 1024):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def losing_answers(site: Installation, count: int) -> AsyncIterator[tuple[Relay, str]]:
    relay = Relay(site, losing=count)
    url = await relay.start()
    try:
        yield relay, url
    finally:
        await relay.stop()


async def test_an_answer_that_is_lost_costs_no_second_node_and_no_second_use(site: Installation) -> None:
    key = await site.enrollment_key(uses=1)
    async with losing_answers(site, 2) as (relay, url):
        await site.start_agent("edge01", enrollment_key=at(key, url), node_alias="edge01")
        assert relay.lost == 2
    nodes = await site.nodes()
    assert [node.name for node in nodes] == ["edge01"]
    identity = load_identity(site.directory / "edge01")
    assert identity is not None
    assert (identity.node_id, list(identity.admin_urls)) == (nodes[0].id, list(site.admin.address.urls))
    (site.directory / "other").mkdir()
    with pytest.raises(EnrollmentKeySpent):
        await enroll(site.directory / "other", key, NO_WISHES)


async def test_an_agent_that_was_killed_before_the_answer_goes_on_with_its_keys(site: Installation) -> None:
    key = await site.enrollment_key(uses=1)
    directory = site.directory / "edge01"
    directory.mkdir()
    async with losing_answers(site, 1) as (relay, url):
        with pytest.raises(Unavailable):
            await enroll(directory, at(key, url), Wishes(alias="edge01", labels={}))
        assert relay.lost == 1
    keys = load_or_make_keys(directory)
    await site.start_agent("edge01", enrollment_key=key)
    assert load_or_make_keys(directory) == keys
    assert len(await site.nodes()) == 1


async def test_enrolling_again_by_hand_changes_nothing(site: Installation) -> None:
    key = await site.enrollment_key(uses=1)
    directory = site.directory / "edge01"
    directory.mkdir()
    first = await enroll(directory, key, Wishes(alias="edge01", labels={"rack": "7"}))
    again = await enroll(directory, key, Wishes(alias="other", labels={}))
    assert again == first
    shown = (await site.nodes())[0]
    assert (shown.name, dict(shown.labels)) == ("edge01", {"node/rack": "7"})


async def test_an_agent_waits_with_its_key_file_until_there_is_an_admin(bare: Installation) -> None:
    await bare.start_admin()
    key_file = bare.directory / "key"
    key_file.write_text(await bare.enrollment_key() + "\n")
    port = bare.admin.address.port
    await bare.stop_admin()
    await bare.start_agent_without_wait("edge01", enrollment_key_file=key_file, node_alias="edge01")
    await eventually(lambda: _session(bare, "edge01").get("state") == "enrolling", what="an agent that tries")
    assert f"https://127.0.0.1:{port}" in _session(bare, "edge01")["error"]
    assert load_identity(bare.directory / "edge01") is None
    await bare.start_admin(grpc_listen=f"127.0.0.1:{port}")
    await bare.wait_status("edge01", ONLINE)
    assert (await bare.edgectl("exec", "edge01", "--", "echo", "it")).text == "it\n"


async def test_of_several_addresses_in_a_key_the_first_that_answers_counts(site: Installation) -> None:
    key = await site.enrollment_key()
    dead = f"https://127.0.0.1:{free_port()}"
    await site.start_agent("edge01", enrollment_key=at(key, dead, site.admin.address.urls[0]), node_alias="edge01")
    identity = load_identity(site.directory / "edge01")
    assert identity is not None
    assert list(identity.admin_urls) == list(site.admin.address.urls)


@pytest.mark.postgres
async def test_an_admin_without_its_database_is_not_called_unreachable(
    tmp_path: Path, postgres_server: PostgresServer, postgres_database: str
) -> None:
    async with installation(tmp_path, {"db_adapter": "postgres", "database_url": postgres_database}) as site:
        await site.start_admin()
        key = await site.enrollment_key()
        (site.directory / "edge01").mkdir()
        postgres_server.stop()
        try:
            with pytest.raises(DatabaseUnavailable, match=r"^the admin's database is down$") as raised:
                await enroll(site.directory / "edge01", key, NO_WISHES)
        finally:
            postgres_server.start()
    assert "repeat it" in raised.value.hint


async def test_a_fallback_address_is_used_when_the_known_one_is_down(bare: Installation) -> None:
    await bare.start_admin()
    await bare.add_agent("edge01")
    await bare.agents.pop("edge01").stop()
    await bare.stop_admin()
    gone = f"https://127.0.0.1:{free_port()}"
    await bare.start_admin(admin_urls=[gone])
    reached = f"https://127.0.0.1:{bare.admin.address.port}"
    await bare.start_agent_without_wait("edge01", fallback_admin_urls=[gone, reached])
    await eventually(lambda: _session(bare, "edge01").get("state") == "connected", within=20.0, what="a session")
    assert _session(bare, "edge01")["admin_url"] == reached
    identity = load_identity(bare.directory / "edge01")
    assert identity is not None
    assert list(identity.admin_urls) == [gone]
    assert len(bare.admin.registry) == 1


async def test_a_key_that_is_refused_ends_the_agent_with_the_reason(site: Installation) -> None:
    key = await site.enrollment_key(uses=1)
    await site.start_agent("edge01", enrollment_key=key, node_alias="edge01")
    late = await site.start_agent_without_wait("edge02", enrollment_key=key)
    with pytest.raises(EnrollmentKeySpent):
        await asyncio.wait_for(late.wait(), 10.0)


async def test_a_key_file_that_is_no_key_is_said_at_once(bare: Installation) -> None:
    key_file = bare.directory / "key"
    key_file.write_text("not a key")
    agent = await bare.start_agent_without_wait("edge01", enrollment_key_file=key_file)
    with pytest.raises(SecretInvalid):
        await asyncio.wait_for(agent.wait(), 10.0)


async def test_an_enrolled_agent_does_not_look_at_its_key_any_more(site: Installation) -> None:
    await site.add_agent("edge01")
    await site.stop_agent("edge01")
    await site.start_agent("edge01", enrollment_key_file=Path("/nowhere"), enrollment_key="nonsense")


def _session(site: Installation, name: str) -> dict[str, str]:
    found: dict[str, str] = collect_status(site.directory / name)["session"]
    return found
