"""Watchers of a command on a real node: one that takes nothing, one that left and comes back, several at once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from edge_server.commands import watch
from edge_wire import calls
from edge_wire.v1 import command_pb2 as pb
from tests.edge_server.scripted_node import ended, run_on
from tests.support.eventually import eventually
from tests.support.harness import Installation

PIECE = 1_000_000
PIECES = 40
WRITER = """
import os, sys
for number in range({pieces}):
    sys.stdout.buffer.write(bytes([number]) * {piece}); sys.stdout.flush()
    with open({place!r}, "a") as file: file.write("x")
"""
"""Writes pieces of a megabyte and notes each one that was taken from it."""
STALL = 0.5


@pytest.fixture
async def node(site: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    monkeypatch.setattr(watch, "STALL_SECONDS", STALL)
    await site.add_agent("edge01", spool_bytes=1024 * 1024)
    return site


class Watching:
    """One watcher; it reads only when it is told to."""

    def __init__(self, responses: AsyncIterator[pb.WatchCommandResponse]) -> None:
        self._responses = responses
        self.output: dict[int, bytes] = {}
        self.gaps: list[tuple[int, int]] = []
        self.ends: list[pb.ExecutionEnd] = []
        self.finished: pb.CommandFinished | None = None

    async def read_all(self) -> None:
        async for response in self._responses:
            self._take(response)

    async def read_until(self, size: int) -> None:
        async for response in self._responses:
            self._take(response)
            if self.position >= size:
                return

    @property
    def position(self) -> int:
        return max((offset + len(data) for offset, data in self.output.items()), default=0)

    @property
    def text(self) -> bytes:
        return b"".join(self.output[offset] for offset in sorted(self.output))

    def _take(self, response: pb.WatchCommandResponse) -> None:
        for event in response.events:
            if event.HasField("output"):
                assert event.output.offset not in self.output
                self.output[event.output.offset] = event.output.data
            elif event.HasField("gap"):
                self.gaps.append((event.gap.from_offset, event.gap.to_offset))
            elif event.HasField("end"):
                self.ends.append(event.end)
        if response.HasField("finished"):
            self.finished = response.finished


@contextlib.asynccontextmanager
async def watching(
    site: Installation, command_id: str, cursors: Sequence[pb.ExecutionCursor] = ()
) -> AsyncIterator[Watching]:
    async with site.operator() as admin:
        request = pb.WatchCommandRequest(command_id=command_id, cursors=cursors)
        responses = calls.stream(admin.commands.Watch, request, token=admin.token)
        async with contextlib.aclosing(responses):  # type: ignore[type-var]  # it is an async generator
            await anext(responses)
            yield Watching(responses)


async def write_much(site: Installation, *, exact: bool) -> tuple[pb.CreateCommandResponse, Path]:
    """A process that writes forty megabytes as soon as the file `go` is there."""
    place = site.directory / "written"
    script = site.directory / "writer.py"
    script.write_text(WRITER.format(pieces=PIECES, piece=PIECE, place=str(place)))
    shell = f"while [ ! -e {site.directory}/go ]; do sleep 0.02; done; exec python3 {script}"
    return await run_on(site, "edge01", shell=shell, exact_output=exact), place


def count(place: Path) -> int:
    return len(place.read_text()) if place.exists() else 0


async def stands_still(place: Path, seconds: float) -> int:
    """Wait until nothing was written for so long."""
    loop = asyncio.get_running_loop()
    last, since = -1, loop.time()

    def is_still() -> bool:
        nonlocal last, since
        if count(place) != last:
            last, since = count(place), loop.time()
        return last > 0 and loop.time() - since > seconds

    await eventually(is_still, within=20.0, what="a process that waits")
    return last


async def test_an_exact_watcher_that_takes_nothing_holds_the_process_and_gets_every_byte(node: Installation) -> None:
    created, place = await write_much(node, exact=True)
    async with watching(node, created.command_id) as watcher:
        (node.directory / "go").touch()
        assert await stands_still(place, 4 * STALL) < PIECES
        await watcher.read_all()
    assert watcher.gaps == []
    assert watcher.text == b"".join(bytes([number]) * PIECE for number in range(PIECES))
    assert not watcher.ends[0].truncated


async def test_a_watcher_that_is_not_exact_holds_nothing_and_is_told_what_it_missed(node: Installation) -> None:
    created, place = await write_much(node, exact=False)
    async with watching(node, created.command_id) as watcher:
        (node.directory / "go").touch()
        await eventually(lambda: count(place) == PIECES, within=20.0, what="a process that was not held")
        assert await ended(node, created.command_id) == {"edge01": "ok"}
        await watcher.read_all()
    covered = sorted([*watcher.gaps, *((start, start + len(data)) for start, data in watcher.output.items())])
    assert covered[0][0] == 0
    assert covered[-1][1] == PIECE * PIECES
    assert all(before[1] == after[0] for before, after in itertools.pairwise(covered))
    assert watcher.finished is not None
    assert (watcher.finished.counts.ok, len(watcher.ends)) == (1, 1)


async def test_an_exact_command_without_a_watcher_is_not_held(node: Installation) -> None:
    created, place = await write_much(node, exact=True)
    (node.directory / "go").touch()
    assert await ended(node, created.command_id, within=20.0) == {"edge01": "ok"}
    assert count(place) == PIECES


async def test_an_exact_watcher_that_leaves_lets_the_process_go_on(node: Installation) -> None:
    created, place = await write_much(node, exact=True)
    async with watching(node, created.command_id):
        (node.directory / "go").touch()
        assert await stands_still(place, 2 * STALL) < PIECES
    assert await ended(node, created.command_id, within=20.0) == {"edge01": "ok"}


async def test_a_watcher_that_comes_back_with_its_cursor_misses_nothing_and_hears_nothing_twice(
    node: Installation,
) -> None:
    go = node.directory / "go"
    shell = f"printf 0123456789; while [ ! -e {go} ]; do sleep 0.02; done; printf abcdef"
    created = await run_on(node, "edge01", shell=shell)
    async with watching(node, created.command_id) as first:
        await first.read_until(10)
    execution_id = created.targets[0].execution_id
    middle = pb.ExecutionCursor(execution_id=execution_id, stdout_offset=4)
    async with watching(node, created.command_id, [middle]) as second:
        await second.read_until(10)
        assert second.output == {4: b"456789"}
        go.touch()
        await second.read_all()
    assert second.text == b"456789abcdef"
    assert second.finished is not None
    behind = pb.ExecutionCursor(execution_id=execution_id, stdout_offset=12)
    async with watching(node, created.command_id, [behind]) as third:
        await third.read_all()
    assert (third.text, len(third.ends)) == (b"abcdef"[2:], 1)
    over = pb.ExecutionCursor(execution_id=execution_id, stdout_offset=16, ended=True)
    async with watching(node, created.command_id, [over]) as last:
        await last.read_all()
    assert (last.text, last.ends) == (b"", [])
    assert last.finished is not None
    assert last.finished.counts.ok == 1


async def test_cursors_of_another_command_and_beyond_the_end_do_no_harm(node: Installation) -> None:
    created = await run_on(node, "edge01", shell="printf hello")
    await ended(node, created.command_id)
    execution_id = created.targets[0].execution_id
    cursors = [
        pb.ExecutionCursor(execution_id="nobody", stdout_offset=3),
        pb.ExecutionCursor(execution_id=execution_id, stdout_offset=2**63, stderr_offset=2**64 - 1),
    ]
    async with watching(node, created.command_id, cursors) as watcher:
        await watcher.read_all()
    assert (watcher.text, watcher.gaps, len(watcher.ends)) == (b"", [], 1)


async def test_one_watcher_that_stalls_takes_nothing_from_another(node: Installation) -> None:
    created, _ = await write_much(node, exact=False)
    async with watching(node, created.command_id) as stalled, watching(node, created.command_id) as awake:
        (node.directory / "go").touch()
        await awake.read_all()
        assert awake.finished is not None
        await stalled.read_all()
    assert stalled.finished is not None


async def test_an_exact_watcher_that_comes_back_after_a_restart_of_the_admin_hears_of_every_byte(
    node: Installation,
) -> None:
    created, place = await write_much(node, exact=True)
    async with watching(node, created.command_id) as first:
        (node.directory / "go").touch()
        await first.read_until(5 * PIECE)
    await node.restart_admin()
    known = first.position
    cursor = pb.ExecutionCursor(execution_id=created.targets[0].execution_id, stdout_offset=known)
    async with watching(node, created.command_id, [cursor]) as second:
        await second.read_all()
    told = sorted([*second.gaps, *((start, start + len(data)) for start, data in second.output.items())])
    assert told[0][0] == known
    assert told[-1][1] == PIECES * PIECE
    assert all(before[1] == after[0] for before, after in itertools.pairwise(told))
    assert all(
        data == bytes(at // PIECE for at in range(start, start + len(data))) for start, data in second.output.items()
    )
    assert (count(place), second.ends[0].outcome) == (PIECES, pb.OUTCOME_OK)
