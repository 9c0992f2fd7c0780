"""Stdin of programs in a real runner: brought in order, as fast as it is read, over any number of agents."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.runner.stdin import LIMIT
from tests.edge_agent.processes import ALL, Agent, Runner, new_id
from tests.support.eventually import eventually

PIPE = 64 * 1024
STREAM = b"".join(b"%d\n" % number for number in range(200_000))
"""1.3 MB."""
SLOW = "echo ready; while ! test -e {go}; do sleep 0.02; done; exec cat"
"""Reads nothing before a file appears."""


def feed(agent: Agent, execution_id: str, data: bytes, *, is_last: bool = True) -> None:
    """Bring all of it, as an admin does: never more than is wanted."""
    offset = 0
    while True:
        wanted, limit = agent.take_wanted(execution_id, lambda wanted, limit: limit > wanted or wanted == len(data))
        while max(offset, wanted) < min(limit, len(data)):
            offset = max(offset, wanted)
            chunk = data[offset : min(limit, offset + 50_000)]
            agent.bring(execution_id, chunk, offset=offset, is_last=is_last and offset + len(chunk) == len(data))
            offset += len(chunk)
        if offset == len(data):
            return


def test_a_program_reads_what_is_brought_and_then_the_end(agent: Agent) -> None:
    execution_id = agent.start("cat", has_stdin=True, credit=1)
    feed(agent, execution_id, STREAM)
    agent.send("credit", id=execution_id, total=ALL)
    end = agent.take_end(execution_id)
    assert (end.fields["exit_code"], end.truncated) == (0, True)  # a spool keeps head and tail
    assert end.fields["stdout_bytes"] == len(STREAM)


def test_exactly_what_is_brought_comes_out(agent: Agent) -> None:
    execution_id = agent.start("cat", has_stdin=True, exact=True)
    feed(agent, execution_id, STREAM)
    assert agent.take_end(execution_id).stdout == STREAM


def test_an_end_may_come_alone_and_be_all_there_is(agent: Agent) -> None:
    execution_id = agent.start("wc", "-c", has_stdin=True)
    agent.bring(execution_id, b"", is_last=True)
    assert agent.take_end(execution_id).stdout == b"0\n"


def test_what_is_wanted_is_told_when_the_process_has_started(agent: Agent) -> None:
    execution_id = agent.start("sleep", "1000", has_stdin=True)
    agent.take("started", execution_id)
    assert agent.take_wanted(execution_id) == (0, LIMIT)


def test_a_program_that_does_not_read_is_kept_no_more_for_than_the_limit(agent: Agent, tmp_path: Path) -> None:
    execution_id = agent.start("sh", "-c", SLOW.format(go=tmp_path / "go"), has_stdin=True, exact=True)
    agent.take_wanted(execution_id)
    for offset in range(0, len(STREAM), PIPE):
        agent.bring(execution_id, STREAM[offset : offset + PIPE], offset=offset)
    full = LIMIT + PIPE
    assert agent.take_wanted(execution_id, lambda offset, limit: limit <= offset) == (full, full)
    (tmp_path / "go").touch()
    offset, limit = agent.take_wanted(execution_id, lambda offset, limit: limit == offset + LIMIT)
    assert offset == full
    agent.bring(execution_id, STREAM[offset:limit], offset=offset, is_last=True)
    assert agent.take_end(execution_id).stdout == b"ready\n" + STREAM[:limit]


def test_after_a_hole_the_agent_is_told_where_to_go_on(agent: Agent) -> None:
    execution_id = agent.start("cat", has_stdin=True)
    agent.bring(execution_id, b"0123")
    agent.bring(execution_id, b"8", offset=8, is_last=True)
    assert agent.take_wanted(execution_id, lambda offset, _: offset == 4) == (4, 4 + LIMIT)
    agent.bring(execution_id, b"34567", offset=3, is_last=True)
    assert agent.take_end(execution_id).stdout == b"01234567"


def test_a_program_that_closes_its_stdin_wants_no_more(agent: Agent) -> None:
    execution_id = agent.start("sh", "-c", "read line; exec <&-; echo closed; sleep 1000 & wait", has_stdin=True)
    agent.bring(execution_id, b"one line\n")
    agent.read_until(execution_id, b"closed\n")
    assert agent.take_wanted(execution_id, lambda offset, limit: limit == offset) == (9, 9)
    agent.bring(execution_id, b"another\n", offset=9)
    assert agent.take_wanted(execution_id) == (9, 9)


def test_a_program_that_ends_early_wants_no_more_and_its_end_is_its_own(agent: Agent) -> None:
    execution_id = agent.start("head", "-c", "5", has_stdin=True)
    agent.bring(execution_id, STREAM[:LIMIT])
    end = agent.take_end(execution_id)
    assert (end.fields["exit_code"], end.stdout) == (0, STREAM[:5])
    offset, _ = agent.take_wanted(execution_id, lambda offset, limit: limit == offset)
    agent.resume(execution_id)
    assert agent.take_wanted(execution_id) == (offset, offset)


def test_a_stopped_program_ends_although_stdin_waits_for_it(agent: Agent) -> None:
    execution_id = agent.start("sleep", "1000", has_stdin=True)
    agent.bring(execution_id, STREAM[:LIMIT])
    agent.send("stop", id=execution_id, kill_after=5.0)
    agent.bring(execution_id, STREAM[LIMIT : 2 * LIMIT], offset=LIMIT)
    assert agent.take_end(execution_id).fields["signal"] == "SIGTERM"


async def test_the_next_agent_goes_on_where_the_runner_is(agent: Agent, runner: Runner, tmp_path: Path) -> None:
    execution_id = agent.start("sh", "-c", SLOW.format(go=tmp_path / "go"), has_stdin=True, exact=True)
    agent.bring(execution_id, STREAM[:100_000])
    agent.take_wanted(execution_id, lambda offset, _: offset == 100_000)
    agent.close()
    following = await runner.connect()
    following.resume(execution_id)
    assert following.take_wanted(execution_id) == (100_000, 100_000 - (100_000 - PIPE) + LIMIT)
    (tmp_path / "go").touch()
    following.bring(execution_id, STREAM[:200_000], is_last=True)
    assert following.take_end(execution_id).stdout == b"ready\n" + STREAM[:200_000]


async def test_stdin_that_nobody_reads_takes_little_memory(agent: Agent, runner: Runner) -> None:
    execution_id = agent.start("sleep", "1000", has_stdin=True)
    agent.take("started", execution_id)
    for _ in range(400):
        agent.bring(execution_id, STREAM[:LIMIT], offset=LIMIT)
    assert agent.run("true").fields["exit_code"] == 0
    status = Path(f"/proc/{runner.process.pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    assert int(peak.split()[1]) < 64 * 1024


# --- orders that cannot be ------------------------------------------------------------------------------------------


def test_stdin_for_what_has_none_or_is_not_known_is_void(agent: Agent) -> None:
    without = agent.start("sh", "-c", "cat; sleep 1000 & wait")
    agent.bring(without, b"hello\n")
    agent.bring(new_id(), b"hello\n")
    failed = agent.start("no-such-program", has_stdin=True)
    agent.bring(failed, b"hello\n", is_last=True)
    assert agent.run("echo", "hi").stdout == b"hi\n"
    agent.resume(without)
    agent.send("stop", id=without, kill_after=5.0)
    assert agent.take_end(without).stdout == b""


@pytest.mark.parametrize("offset", [-1, 2**70])
def test_stdin_from_an_offset_that_cannot_be_is_void(agent: Agent, offset: int) -> None:
    execution_id = agent.start("cat", has_stdin=True)
    agent.bring(execution_id, b"hello", offset=offset, is_last=True)
    agent.bring(execution_id, b"bye", is_last=True)
    assert agent.take_end(execution_id).stdout == b"bye"


async def test_a_runner_leaves_no_descriptor_behind(agent: Agent, runner: Runner) -> None:
    def count() -> int:
        return len(list(Path(f"/proc/{runner.process.pid}/fd").iterdir()))

    agent.take("welcome")
    before = count()
    for argv in (["cat"], ["no-such-program"], ["sh", "-c", "exec <&-; exit"]):
        for options in (
            {"has_stdin": True},
            {"terminal": {"columns": 80, "rows": 24, "kind": ""}},
            {"script": "ZWNobw=="},
        ):
            execution_id = agent.start(*argv, **options)
            agent.bring(execution_id, b"hello\n", is_last=True)
            agent.take_end(execution_id)
    await eventually(lambda: count() == before, what="no more descriptors than before")
