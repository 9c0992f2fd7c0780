"""After the faults: wait until everything is over, then gather what the verdict needs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from edge_wire import calls
from edge_wire.errors import EdgeError
from edge_wire.v1 import command_pb2 as pb
from edgectl.connect import Admin, connected_to
from tests.chaos.database import read_commands, read_executions, read_holders
from tests.chaos.ledger import Command, Evidence, Execution, Session
from tests.chaos.payload import Mark, read_marks
from tests.chaos.session_log import read_sessions
from tests.chaos.site import Site
from tests.chaos.work import Work
from tests.support.harness import MASTER_KEY

_LOOK_EVERY = 0.25
_CLIENTS_END_WITHIN = 45.0
_AT_ONCE = 8

Pieces = list[tuple[int, bytes]]


async def settle(site: Site, work: Work, *, within: float) -> bool:
    """Wait until every accepted command is over, every node online and every journal empty; False when it is not.

    Commands that wait for a stdin that nobody brings any more, or not to the admin that has their node, are cancelled:
    that is what an operator has to do.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    await work.wait(_CLIENTS_END_WITHIN)
    await _cancel_abandoned(site, work)
    while await asyncio.to_thread(_open_count, site):
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_LOOK_EVERY)
    await work.wait(_CLIENTS_END_WITHIN)
    try:
        await site.wait_online(max(1.0, deadline - loop.time()))
    except AssertionError:
        return False
    return True


async def gather(site: Site, work: Work) -> Evidence:
    """Read everything: files of the nodes, rows of the database, and the stored output as an operator sees it."""
    commands = await asyncio.to_thread(read_commands, site.database)
    executions = await asyncio.to_thread(read_executions, site.database)
    return Evidence(
        marks={node: _marks(site, node) for node in site.nodes},
        commands=commands,
        executions=executions,
        outputs=await _read_outputs(site, commands, executions),
        accounts=work.accounts,
        deaths=site.deaths,
        holders=await asyncio.to_thread(read_holders, site.database),
        sessions={node: _sessions(site, node) for node in site.nodes},
        waiting=work.waiting(),
        processes=site.running_executions(),
        journals={node: site.journal_entries(node) for node in site.nodes},
    )


def describe(evidence: Evidence) -> str:
    """Everything but output, one fact a line, for whoever looks into a violation."""
    marks = [f"{node} {mark}" for node, found in evidence.marks.items() for mark in found]
    facts = [evidence.commands, evidence.executions, marks, evidence.accounts, evidence.deaths]
    return "".join(f"{fact}\n" for kind in facts for fact in kind)


def _open_count(site: Site) -> int:
    """Commands that are not over, and executions that nodes still keep."""
    unfinished = sum(1 for command in read_commands(site.database) if command.finished_at is None)
    return unfinished + sum(len(site.journal_entries(node)) for node in site.nodes)


async def _cancel_abandoned(site: Site, work: Work) -> None:
    commands = await asyncio.to_thread(read_commands, site.database)
    unfinished = {command.request_id: command for command in commands if command.finished_at is None}
    apart = await asyncio.to_thread(_run_apart, site, commands)
    waiting = work.waiting()
    for account in work.accounts:
        command = unfinished.get(account.wish.token)
        if command is None or not account.wish.stdin_bytes:
            continue
        if command.request_id not in waiting or command.id in apart:
            await work.cancel(account, command.id)


def _run_apart(site: Site, commands: Sequence[Command]) -> set[str]:
    """Commands that run on a node which another admin has than the one that paces them."""
    pacers = {command.id: command.admin_id for command in commands}
    holders = read_holders(site.database)
    return {
        item.command_id
        for item in read_executions(site.database)
        if item.state == "running" and holders[item.node] not in {"", pacers.get(item.command_id)}
    }


def _marks(site: Site, node: str) -> list[Mark]:
    path = site.file_of(node)
    return read_marks(path.read_text().splitlines()) if path.exists() else []


def _sessions(site: Site, node: str) -> list[Session]:
    return read_sessions(site.log_of(node).read_text(errors="replace").splitlines())


async def _read_outputs(
    site: Site, commands: Sequence[Command], executions: Sequence[Execution]
) -> dict[str, Sequence[tuple[int, bytes]]]:
    wanted = {item.command_id for item in executions if item.started}
    found: dict[str, Sequence[tuple[int, bytes]]] = {}
    gate = asyncio.Semaphore(_AT_ONCE)
    async with connected_to(site.context(), MASTER_KEY) as admin:

        async def read(command_id: str) -> None:
            async with gate:
                found.update(await _read_output(admin, command_id))

        await asyncio.gather(*(read(command.id) for command in commands if command.id in wanted))
    return found


async def _read_output(admin: Admin, command_id: str) -> dict[str, Pieces]:
    pieces: dict[str, Pieces] = {}
    request = pb.WatchCommandRequest(command_id=command_id, no_follow=True)
    try:
        async with asyncio.timeout(timedelta(seconds=20).total_seconds()):
            async for response in calls.stream(admin.commands.Watch, request, token=admin.token):
                for event in response.events:
                    if event.HasField("output") and event.output.stream == pb.OUTPUT_STREAM_STDOUT:
                        chunk = (event.output.offset, event.output.data)
                        pieces.setdefault(event.execution_id, []).append(chunk)
    except EdgeError as error:
        raise RuntimeError(f"the output of {command_id} cannot be read: {error.code}: {error.message}") from error
    return pieces
