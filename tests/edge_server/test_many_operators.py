"""Fifty operators at once, each with a connection and a token of its own: nothing fails, and nothing runs twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from edge_wire import calls
from edge_wire.v1 import command_pb2, principal_pb2
from edgectl.connect import Admin
from tests.edge_server.crowd import a_crowd
from tests.support.eventually import eventually
from tests.support.harness import Installation

OPERATORS = 50
NODES = 20
EVERYONE = "n[000-019]"
SHARED = "the-same-wish"
ROLES = (principal_pb2.ROLE_ADMIN, principal_pb2.ROLE_OPERATOR)


async def tokens(site: Installation) -> list[str]:
    """One for each operator."""
    async with site.operator() as master:
        return [
            (
                await master.call(
                    master.tokens.Create,
                    principal_pb2.CreateTokenRequest(name=f"operator-{place}", role=ROLES[place % len(ROLES)]),
                )
            ).token
            for place in range(OPERATORS)
        ]


def wish(request_id: str, *nodes: str) -> command_pb2.CreateCommandRequest:
    request = command_pb2.CreateCommandRequest(spec=command_pb2.CommandSpec(shell="true"), request_id=request_id)
    request.selector.nodes.extend(nodes)
    return request


async def watched_to_the_end(admin: Admin, command_id: str) -> command_pb2.OutcomeCounts:
    request = command_pb2.WatchCommandRequest(command_id=command_id)
    async for response in calls.stream(admin.commands.Watch, request, token=admin.token):
        if response.HasField("finished"):
            return response.finished.counts
    raise AssertionError("the stream ended without its last message")


async def ask_three_times(admin: Admin, request: command_pb2.CreateCommandRequest) -> set[str]:
    """The same request from three places at once: which commands it made."""
    asked = [admin.call(admin.commands.Create, request) for _ in range(3)]
    return {created.command_id for created in await asyncio.gather(*asked)}


async def one_operator(site: Installation, token: str) -> None:
    """Create, watch and list; create, cancel and watch."""
    async with site.operator(token) as admin:
        (command_id,) = await ask_three_times(admin, wish(SHARED, EVERYONE))
        counts, cancelled = await asyncio.gather(watched_to_the_end(admin, command_id), cancel_one(admin))
        assert counts.total == NODES
        assert (counts.ok + counts.failed, cancelled.total) == (NODES, NODES)
        listed = await admin.call(admin.commands.List, command_pb2.ListCommandsRequest(page_size=1000))
        assert command_id in {command.id for command in listed.commands}
        shown = await admin.call(admin.commands.Get, command_pb2.GetCommandRequest(command_id=command_id))
        assert shown.command.HasField("finished_at")


async def cancel_one(admin: Admin) -> command_pb2.OutcomeCounts:
    """A command that is cancelled by two at once while it is handed out."""
    (command_id,) = await ask_three_times(admin, wish("to-be-cancelled", EVERYONE))
    request = command_pb2.CancelCommandRequest(command_id=command_id)
    await asyncio.gather(*(admin.call(admin.commands.Cancel, request) for _ in range(2)))
    return await watched_to_the_end(admin, command_id)


@pytest.mark.timeout(240)
async def test_fifty_operators_at_once(site: Installation, caplog: pytest.LogCaptureFixture) -> None:
    known = await tokens(site)
    async with a_crowd(site, NODES) as crowd:
        crowd.let_all_end()
        await asyncio.gather(*(one_operator(site, token) for token in known))
        assert set(crowd.starts.values()) == {1}
        await eventually(lambda: set(crowd.acknowledged) == set(crowd.starts), what="every acknowledgement")
        assert crowd.failures() == []
    commands = await all_commands(site)
    assert len(commands) == 2 * OPERATORS
    assert len({command.principal_id for command in commands}) == OPERATORS
    assert all(command.HasField("finished_at") for command in commands)
    assert [record.getMessage() for record in caplog.records if record.levelname in {"WARNING", "ERROR"}] == []


async def all_commands(site: Installation) -> Sequence[command_pb2.Command]:
    async with site.operator() as admin:
        listed = await admin.call(admin.commands.List, command_pb2.ListCommandsRequest(page_size=1000))
    return listed.commands
