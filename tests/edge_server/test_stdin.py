"""Stdin on the admin: spooled once, brought to each node at its pace, and never taken for over when it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_server.commands import stdin_spool
from edge_server.commands.domain import ExecutionId
from edge_server.commands.stdin_feed import StdinFeed
from edge_server.commands.stdin_spool import FileSpool, MemorySpool, Spool, Spools
from edge_wire.errors import FrameInvalid, StdinTooLarge
from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import session_pb2 as session_pb
from tests.support.eventually import eventually

ONE, TWO = ExecutionId("e1"), ExecutionId("e2")


class Nodes:
    """What each execution was sent, over sessions that a test may take away."""

    def __init__(self, spool: Spool) -> None:
        self.got: dict[str, bytes] = {ONE: b"", TWO: b""}
        self.is_over: dict[str, bool] = {}
        self.is_away: set[str] = set()
        self.feed = StdinFeed(spool=spool, executions=[ONE, TWO], send=self._send)

    def _send(self, execution_id: ExecutionId, order: session_pb.ExecutionOrder) -> bool:
        if execution_id in self.is_away:
            return False
        assert order.stdin.offset == len(self.got[execution_id])
        self.got[execution_id] += order.stdin.data
        self.is_over[execution_id] = order.stdin.is_last
        return True

    def takes(self, execution_id: ExecutionId, count: int) -> None:
        """The node has what it got and takes so many more."""
        offset = len(self.got[execution_id])
        self.feed.wanted(execution_id, session_pb.StdinWanted(offset=offset, limit=offset + count))

    async def has(self, execution_id: ExecutionId, data: bytes) -> None:
        await eventually(lambda: self.got[execution_id] == data, what=f"{len(data)} bytes at {execution_id}")


def chunk(offset: int, data: bytes, *, is_last: bool = False) -> pb.StdinChunk:
    return pb.StdinChunk(offset=offset, data=data, is_last=is_last)


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdin_spool, "SEGMENT_BYTES", 10)
    monkeypatch.setattr(FileSpool, "limit", 40)


@pytest.fixture
def nodes(tmp_path: Path, small_segments: None) -> Iterator[Nodes]:
    made = Nodes(FileSpool(tmp_path / "spool"))
    yield made
    made.feed.close()


async def test_each_node_gets_what_it_takes_and_no_more(nodes: Nodes) -> None:
    await nodes.feed.append(chunk(0, b"0123456789abcdef"))
    nodes.takes(ONE, 4)
    nodes.takes(TWO, 100)
    await nodes.has(ONE, b"0123")
    await nodes.has(TWO, b"0123456789abcdef")
    nodes.takes(ONE, 6)
    await nodes.has(ONE, b"0123456789")
    assert nodes.is_over == {ONE: False, TWO: False}


async def test_the_end_is_told_only_when_it_was_said(nodes: Nodes) -> None:
    nodes.takes(ONE, 100)
    await nodes.feed.append(chunk(0, b"abc"))
    await nodes.has(ONE, b"abc")
    assert not nodes.is_over[ONE]
    await nodes.feed.append(chunk(3, b"", is_last=True))
    await eventually(lambda: nodes.is_over[ONE])


async def test_an_empty_stdin_is_over_at_once(nodes: Nodes) -> None:
    await nodes.feed.append(chunk(0, b"", is_last=True))
    nodes.takes(ONE, 100)
    await eventually(lambda: nodes.is_over.get(ONE))


async def test_what_comes_twice_counts_once_and_a_hole_is_refused(nodes: Nodes) -> None:
    nodes.takes(ONE, 100)
    await nodes.feed.append(chunk(0, b"abcdef"))
    await nodes.feed.append(chunk(0, b"abc"))
    await nodes.feed.append(chunk(3, b"defghi"))
    await nodes.has(ONE, b"abcdefghi")
    with pytest.raises(FrameInvalid):
        await nodes.feed.append(chunk(20, b"x"))


async def test_after_a_lost_session_the_node_says_what_it_has(nodes: Nodes) -> None:
    nodes.takes(ONE, 100)
    await nodes.feed.append(chunk(0, b"abc"))
    await nodes.has(ONE, b"abc")
    nodes.is_away.add(ONE)
    await nodes.feed.append(chunk(3, b"def"))
    nodes.feed.detached(ONE)
    nodes.is_away.clear()
    nodes.got[ONE] = b"ab"  # the third byte never arrived
    nodes.takes(ONE, 100)
    await nodes.has(ONE, b"abcdef")


async def test_segments_that_everybody_has_are_removed(nodes: Nodes, tmp_path: Path) -> None:
    await nodes.feed.append(chunk(0, b"x" * 35))
    assert {path.name for path in (tmp_path / "spool").iterdir()} == {"0", "1", "2", "3"}
    nodes.takes(ONE, 100)
    await nodes.has(ONE, b"x" * 35)
    nodes.takes(ONE, 100)
    nodes.feed.ended(TWO)
    assert {path.name for path in (tmp_path / "spool").iterdir()} == {"3"}


async def test_a_slow_node_slows_whoever_brings_more_than_is_kept(nodes: Nodes) -> None:
    nodes.takes(ONE, 10)
    nodes.takes(TWO, 0)
    await nodes.feed.append(chunk(0, b"x" * 40))
    bringing = asyncio.create_task(nodes.feed.append(chunk(40, b"y" * 10)))
    await nodes.has(ONE, b"x" * 10)
    assert not bringing.done()
    nodes.takes(ONE, 10)
    nodes.takes(TWO, 10)
    await nodes.has(TWO, b"x" * 10)
    nodes.takes(TWO, 10)
    await bringing


async def test_a_node_that_has_not_begun_cannot_be_waited_for(nodes: Nodes) -> None:
    nodes.takes(ONE, 100)
    await nodes.feed.append(chunk(0, b"x" * 40))
    with pytest.raises(StdinTooLarge, match="have not begun"):
        await nodes.feed.append(chunk(40, b"y"))


async def test_a_program_that_closed_its_stdin_and_runs_on_holds_up_nobody(nodes: Nodes) -> None:
    nodes.takes(ONE, 1000)
    nodes.takes(TWO, 10)
    await nodes.feed.append(chunk(0, b"x" * 40))
    await nodes.has(TWO, b"x" * 10)
    nodes.feed.wanted(TWO, session_pb.StdinWanted(offset=10, limit=10, closed=True))
    await nodes.has(ONE, b"x" * 40)
    nodes.takes(ONE, 1000)
    await nodes.feed.append(chunk(40, b"y" * 40))
    await nodes.has(ONE, b"x" * 40 + b"y" * 40)


async def test_a_spool_is_found_again_by_the_next_run_of_an_admin(tmp_path: Path, small_segments: None) -> None:
    first = FileSpool(tmp_path / "spool")
    first.append(b"0123456789abcde", is_last=False)
    first.trim(10)
    second = FileSpool(tmp_path / "spool")
    assert (second.base, second.end, second.is_complete) == (10, 15, False)
    assert second.read(10, 100) == b"abcde"
    second.append(b"f", is_last=True)
    assert FileSpool(tmp_path / "spool").is_complete


async def test_what_is_typed_is_never_on_the_disk_and_counts_when_the_node_has_it(tmp_path: Path) -> None:
    spool = Spools(tmp_path).open("command", is_terminal=True)
    assert isinstance(spool, MemorySpool)
    sent: list[bytes] = []

    def send(_: ExecutionId, order: session_pb.ExecutionOrder) -> bool:
        sent.append(order.stdin.data)
        return True

    feed = StdinFeed(spool=spool, executions=[ONE], send=send)
    feed.wanted(ONE, session_pb.StdinWanted(offset=0, limit=100))
    await feed.append(chunk(0, b"secret\n"))
    await eventually(lambda: sent == [b"secret\n"])
    assert feed.acknowledged == 0
    feed.wanted(ONE, session_pb.StdinWanted(offset=7, limit=107))
    assert feed.acknowledged == 7
    assert list(tmp_path.iterdir()) == []


async def test_a_terminal_goes_on_after_a_restart_where_its_node_is(tmp_path: Path) -> None:
    sent: list[tuple[int, bytes]] = []

    def send(_: ExecutionId, order: session_pb.ExecutionOrder) -> bool:
        sent.append((order.stdin.offset, order.stdin.data))
        return True

    feed = StdinFeed(spool=MemorySpool(), executions=[ONE], send=send)
    feed.wanted(ONE, session_pb.StdinWanted(offset=500, limit=600))
    assert feed.acknowledged == 500
    await feed.append(chunk(500, b"ls\n"))
    await eventually(lambda: sent == [(500, b"ls\n")])


def test_spools_of_commands_that_are_over_are_removed(tmp_path: Path) -> None:
    spools = Spools(tmp_path)
    for command in ("open", "over"):
        spools.open(command, is_terminal=False).append(b"x", is_last=False)
    spools.remove_others({"open"})
    assert [path.name for path in tmp_path.iterdir()] == ["open"]
    assert (tmp_path / "open" / "0").stat().st_mode & 0o777 == 0o600
