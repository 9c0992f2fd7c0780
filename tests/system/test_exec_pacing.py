"""`edgectl exec` in batches, with error limits, deadlines and queues, on six real nodes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.harness import Installation
from tests.support.programs import Finished

NAMES = [f"edge{number:02}" for number in range(1, 7)]


@pytest.fixture
async def edges(site: Installation) -> Installation:
    await asyncio.gather(*(site.add_agent(name) for name in NAMES))
    return site


def summary(done: Finished) -> dict[str, object]:
    found: dict[str, object] = json.loads([line for line in done.lines if "exec.summary" in line][-1])
    return found


def counts(done: Finished) -> dict[str, int]:
    found = summary(done)["counts"]
    assert isinstance(found, dict)
    return {name: count for name, count in found.items() if count and name != "total"}


async def test_a_batch_begins_when_the_one_before_is_over(edges: Installation, tmp_path: Path) -> None:
    shell = f"echo start >> {tmp_path}/log; while [ $(wc -l < {tmp_path}/log) -lt $1 ]; do sleep 0.02; done"
    script = tmp_path / "wait.sh"
    script.write_text(f"#!/bin/sh\n{shell}\n")
    # Each batch of two waits for its own two marks: a third one that started early would be seen at once.
    running = await edges.start_edgectl("exec", "--all", "--batch", "2", "--", "sh", str(script), "2")
    assert await running.wait() == 0, running.output
    assert (tmp_path / "log").read_text() == "start\n" * 6


async def test_more_errors_than_allowed_stop_the_rest_and_say_so(edges: Installation) -> None:
    done = await edges.edgectl("exec", "--all", "--fanout", "1", "--max-errors", "1", "-o", "jsonl", "--", "false")
    assert (done.code, counts(done)) == (8, {"failed": 2, "not_started": 4})
    assert summary(done)["stop_reason"] == "max_errors"
    shown = json.loads((await edges.edgectl("command", "show", str(summary(done)["command"]), "-o", "json")).text)
    assert shown["stop_reason"] == "max_errors"
    assert {item["error"]["code"] for item in shown["executions"] if item["outcome"] == "not_started"} == {"max_errors"}


async def test_errors_are_counted_as_a_share_of_the_whole_command(edges: Installation) -> None:
    done = await edges.edgectl("exec", "--all", "--batch", "50%", "--max-errors", "34%", "-o", "jsonl", "--", "false")
    assert (done.code, counts(done)) == (8, {"failed": 3, "not_started": 3})


async def test_the_deadline_ends_what_runs_and_starts_nothing_more(edges: Installation) -> None:
    done = await edges.edgectl(
        "exec", "--all", "--fanout", "2", "--deadline", "500ms", "-o", "jsonl", "--", "sleep", "1000"
    )
    assert (done.code, counts(done)) == (124, {"cancelled": 2, "not_started": 4})
    assert summary(done)["stop_reason"] == "deadline"
    alone = await edges.edgectl("exec", "edge01", "--deadline", "300ms", "--", "sleep", "1000")
    assert alone.code == 124


async def test_an_admin_that_restarts_in_a_batch_paces_on_as_if_it_had_not(edges: Installation, tmp_path: Path) -> None:
    shell = f"echo x >> {tmp_path}/log; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"
    running = await edges.start_edgectl("exec", "--all", "--batch", "2", "--shell", "--", shell)
    log = tmp_path / "log"
    await eventually(lambda: log.exists() and log.read_text() == "x\nx\n", what="the first batch")
    await edges.restart_admin(reconnect_grace_seconds=20)
    assert log.read_text() == "x\nx\n"
    (tmp_path / "go").touch()
    assert await running.wait() == 0, running.output
    assert log.read_text() == "x\n" * 6
    assert "6 ok" in running.output


async def test_an_offline_node_waits_in_the_queue_holds_up_nobody_and_runs_when_it_is_back(
    edges: Installation, tmp_path: Path
) -> None:
    await edges.stop_agent("edge02")
    words = ("exec", "--all", "--offline", "queue", "--batch", "1", "--shell", "--", f"echo x >> {tmp_path}/log")
    running = await edges.start_edgectl(*words)
    log = tmp_path / "log"
    await eventually(lambda: log.exists() and len(log.read_text()) == 10, what="the other five")
    assert "edge02: [offline; it runs when the node is back]" in running.output
    listed = json.loads((await edges.edgectl("command", "list", "-o", "json")).text)
    shown = json.loads((await edges.edgectl("command", "show", listed[0]["id"], "-o", "json")).text)
    [waiting] = [item for item in shown["executions"] if item["state"] != "ended"]
    assert (waiting["node"]["name"], waiting["state"], bool(waiting["queued_at"])) == ("edge02", "pending", True)
    await edges.start_agent("edge02")
    assert await running.wait() == 0, running.output
    assert "6 ok" in running.output


async def test_what_waits_too_long_expires_and_is_never_run(edges: Installation, tmp_path: Path) -> None:
    await edges.stop_agent("edge02")
    done = await edges.edgectl(
        "exec",
        "edge02,edge01",
        "--offline",
        "queue",
        "--expires",
        "300ms",
        "-o",
        "jsonl",
        "--",
        "touch",
        f"{tmp_path}/x",
    )
    assert (done.code, counts(done)) == (4, {"ok": 1, "expired": 1})
    alone = await edges.edgectl("exec", "edge02", "--offline", "queue", "--expires", "200ms", "--", "true")
    assert alone.code == 255
    assert "execution_expired" in alone.err


async def test_a_queue_keeps_the_order_of_commands_and_a_cancel_reaches_it(edges: Installation, tmp_path: Path) -> None:
    await edges.stop_agent("edge02")
    ids = []
    for number in range(4):
        words = (
            "exec",
            "edge02",
            "--offline",
            "queue",
            "--detach",
            "--shell",
            "--",
            f"echo {number} >> {tmp_path}/log",
        )
        ids.append((await edges.edgectl(*words)).text.strip())
    assert (await edges.edgectl("command", "cancel", ids[1])).code == 0
    await edges.start_agent("edge02", execution_concurrency=1)
    log = tmp_path / "log"
    await eventually(lambda: log.exists() and len(log.read_text()) == 6, what="three marks")
    assert log.read_text() == "0\n2\n3\n"
    shown = json.loads((await edges.edgectl("command", "show", ids[1], "-o", "json")).text)
    assert shown["executions"][0]["outcome"] == "not_started"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--fanout", "0"), "--fanout '0'"),
        (("--batch", "0"), "--batch '0'"),
        (("--max-errors", "200%"), "--max-errors '200%'"),
        (("--max-errors", "-1"), "--max-errors"),
        (("--pause", "5s"), "add --batch N"),
        (("--expires", "5s"), "add --offline queue"),
        (("--deadline", "5"), "is not a duration"),
        (("--script", "x", "--shell"), "exclude each other"),
        (("--tty",), "one node that is named outright"),
        (("--from", "-", "--stdin", "-"), "there is one stdin"),
        (("--stdin", "-", "--detach"), "leave out --detach"),
        (("--env", "1A=x"), "is not the name of an environment variable"),
        (("--env", "SURELY_NOT_SET_HERE"), "is not set here"),
        (("--script", "/nonexistent"), "No such file"),
        (("--script", "/"), "Is a directory"),
        (("--stdin", "/nonexistent"), "No such file"),
        (("--stdin", "/"), "is a directory"),
    ],
)
async def test_what_cannot_be_meant_is_one_line_and_nothing_is_run(
    fleet: Installation, words: tuple[str, ...], says: str
) -> None:
    done = await fleet.edgectl("exec", "--all", *words, "--", "true")
    assert (done.code, len(done.err.splitlines())) == (2, 1), done.err
    assert says in done.err
