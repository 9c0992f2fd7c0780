"""Commands as records: looked at, waited for, picked up, run again and compared, from any terminal."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.harness import Installation

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def detached(site: Installation, *words: str) -> str:
    """Start a command and return its id."""
    done = await site.edgectl("exec", *words[:-1], "--detach", "--shell", "--", words[-1])
    assert done.code == 0, done.err
    return done.text.strip()


async def test_logs_print_what_is_kept_of_some_or_all_nodes(fleet: Installation) -> None:
    command = await detached(fleet, "--all", "echo out; echo err >&2")
    assert (await fleet.edgectl("command", "wait", command)).code == 0
    every = await fleet.edgectl("command", "logs", command[:8])
    assert sorted(every.lines) == ["edge01: out", "edge02: out"]
    assert sorted(every.err.splitlines()) == ["edge01: err", "edge02: err"]
    one = await fleet.edgectl("command", "logs", command, "edge02", "--no-prefix")
    assert one.lines == ["out"]
    grouped = await fleet.edgectl("command", "logs", command, "--view", "grouped")
    assert "edge[01-02] (2)" in grouped.text
    missing = await fleet.edgectl("command", "logs", command, "edge09")
    assert (missing.code, "'edge09' is none of the command's nodes" in missing.err) == (5, True)


async def test_logs_of_a_running_command_end_with_what_is_known(fleet: Installation, tmp_path: Path) -> None:
    command = await detached(
        fleet, "edge01", f"echo begin; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo end"
    )

    async def has_begun() -> bool:
        return (await fleet.edgectl("command", "logs", command)).lines == ["edge01: begin"]

    await eventually(has_begun, what="the first line")
    (tmp_path / "go").touch()
    assert (await fleet.edgectl("command", "wait", command)).code == 0


async def test_attach_picks_a_running_command_up_with_all_its_output(fleet: Installation, tmp_path: Path) -> None:
    command = await detached(fleet, "--all", f"echo begin; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; exit 4")
    attached = await fleet.start_edgectl("command", "attach", command, name="attach")
    await eventually(lambda: attached.output.count("begin") == 2, what="both first lines")
    (tmp_path / "go").touch()
    assert await attached.wait() == 3, attached.output
    assert "failed (exit 4): edge[01-02]" in attached.output


async def test_leaving_an_attached_command_lets_it_run_on(fleet: Installation, tmp_path: Path) -> None:
    command = await detached(fleet, "--all", f"echo begin; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done")
    attached = await fleet.start_edgectl("command", "attach", command, name="leaving")
    await eventually(lambda: attached.output.count("begin") == 2, what="both first lines")
    attached.signal(signal.SIGINT)
    assert await attached.wait() == 130
    assert "left; the command goes on" in attached.output
    (tmp_path / "go").touch()
    waited = await fleet.edgectl("command", "wait", command, "-o", "json")
    assert (waited.code, json.loads(waited.text)["counts"]["ok"]) == (0, 2)


async def test_wait_gives_up_with_124_and_otherwise_ends_as_the_exec_would(fleet: Installation, tmp_path: Path) -> None:
    command = await detached(fleet, "--all", f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; false")
    early = await fleet.edgectl("command", "wait", command, "--timeout", "200ms")
    assert (early.code, "is not over after 200ms" in early.err) == (124, True)
    (tmp_path / "go").touch()
    assert (await fleet.edgectl("command", "wait", command)).code == 3
    assert (await fleet.edgectl("command", "wait", command, "--exit-policy", "none")).code == 0


async def test_retry_runs_again_only_where_it_did_not_go_well(fleet: Installation, tmp_path: Path) -> None:
    # edge01 makes the file that edge02 misses at first.
    command = await detached(fleet, "--all", "--fanout", "1", f"mkdir {tmp_path}/$(ls {tmp_path} | wc -l | tr 0-9 a)")
    assert (await fleet.edgectl("command", "wait", command)).code == 3
    planned = await fleet.edgectl("command", "retry", command, "--dry-run", "-o", "json")
    assert [row["node"]["name"] for row in json.loads(planned.text)] == ["edge02"]
    (tmp_path / "a").rmdir()
    again = await fleet.edgectl("command", "retry", command)
    assert (again.code, "1 ok" in again.err) == (0, True)
    nothing = await fleet.edgectl("command", "retry", command, "--only", "lost")
    assert (nothing.code, "nodes_not_matched" in nothing.err) == (5, True)
    typo = await fleet.edgectl("command", "retry", command, "--only", "broken")
    assert (typo.code, "'broken' is no outcome" in typo.err) == (2, True)


async def test_retry_asks_again_for_what_is_not_kept(fleet: Installation) -> None:
    words = ("exec", "--all", "-e", "TOKEN=hunter2", "-o", "jsonl", "--shell", "--", "exit 1")
    ran = await fleet.edgectl(*words)
    command = json.loads(ran.lines[-1])["command"]
    refused = await fleet.edgectl("command", "retry", command)
    assert (refused.code, "TOKEN" in refused.err) == (2, True)
    again = await fleet.edgectl("command", "retry", command, "-e", "TOKEN", environ={"TOKEN": "hunter3"})
    assert again.code == 3
    shown = await fleet.edgectl("command", "show", command, "-o", "json")
    assert json.loads(shown.text)["environment"] == ["TOKEN"]
    assert "hunter" not in shown.text


async def test_diff_compares_two_commands_node_by_node(fleet: Installation, tmp_path: Path) -> None:
    (tmp_path / "n").write_text("1\n2\n3\n")
    first = await detached(fleet, "--all", f"cat {tmp_path}/n")
    await fleet.edgectl("command", "wait", first)
    (tmp_path / "n").write_text("1\ntwo\n3\n")
    second = await detached(fleet, "--all", f"cat {tmp_path}/n")
    await fleet.edgectl("command", "wait", second)
    third = await detached(fleet, "edge01", "exit 7")
    await fleet.edgectl("command", "wait", third)
    changed = await fleet.edgectl("command", "diff", first, second)
    assert changed.text.endswith("edge[01-02] (2)\n@@ -1,3 +1,3 @@\n 1\n-2\n+two\n 3\n")
    assert "0 the same · 2 different" in changed.err
    other = await fleet.edgectl("command", "diff", first, third, "-o", "json")
    assert [row["change"] for row in json.loads(other.text)] == ["outcome", "only_first"]
    same = await fleet.edgectl("command", "diff", first, first)
    assert (same.text, "2 the same · 0 different" in same.err) == ("", True)


async def test_only_a_command_that_is_over_is_deleted(fleet: Installation) -> None:
    command = await detached(fleet, "--all", "sleep 60")
    refused = await fleet.edgectl("command", "delete", command, "--yes")
    assert (refused.code, "command_open" in refused.err) == (10, True)
    await fleet.edgectl("command", "cancel", command)
    await fleet.edgectl("command", "wait", command)
    assert (await fleet.edgectl("command", "delete", command, "--yes")).code == 0
    assert (await fleet.edgectl("command", "show", command)).code == 5
