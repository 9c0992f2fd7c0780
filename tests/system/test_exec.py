"""`edgectl exec` as people and scripts use it: the real command line, a real admin, real agents and runners."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.harness import Installation

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_every_line_carries_its_node_and_the_counts_come_last(fleet: Installation) -> None:
    done = await fleet.edgectl("exec", "--all", "--", "printf", "one\\ntwo")
    assert done.code == 0, done.err
    assert sorted(done.lines) == ["edge01: one", "edge01: two", "edge02: one", "edge02: two"]
    assert done.err.startswith("2 ok · 0 failed · 0 offline · ")


async def test_stdout_and_stderr_stay_apart(fleet: Installation) -> None:
    done = await fleet.edgectl("exec", "edge01", "edge02", "-q", "--", "sh", "-c", "echo out; echo err >&2")
    assert sorted(done.lines) == ["edge01: out", "edge02: out"]
    assert sorted(done.err.splitlines()) == ["edge01: err", "edge02: err"]


async def test_one_node_passes_bytes_and_exit_code_through(fleet: Installation) -> None:
    script = "printf '\\000\\377\\033[31m no newline'; printf err >&2; exit 42"
    done = await fleet.edgectl("exec", "edge01", "--", "sh", "-c", script)
    assert (done.code, done.out, done.err) == (42, b"\x00\xff\x1b[31m no newline", "err")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["edge01", "--", "sh", "-c", "kill -KILL $$"], 137, ""),
        (["edge01", "--timeout", "300ms", "--", "sleep", "60"], 124, "timed_out"),
        (["edge01", "--", "no-such-program"], 127, "not found on the node"),
        (["edge01", "--exit-policy", "fleet", "--", "false"], 3, "0 ok · 1 failed"),
        (["edge01", "--exit-policy", "none", "--", "false"], 0, "0 ok · 1 failed"),
        (["nobody", "--", "true"], 255, "node_not_found: there is no node 'nobody'"),
        (["edge01", "nobody", "--", "true"], 5, "node_not_found"),
        (["--cluster", "nowhere", "--", "true"], 5, "cluster_not_found"),
        (["--all", "--", "sh", "-c", "exit 9"], 3, "failed (exit 9): edge[01-02]"),
        (["--all", "--timeout", "300ms", "--", "sleep", "60"], 3, "2 timed_out"),
        (["--", "true"], 2, "selector_empty"),
        (["edge01"], 2, "usage: what to run is missing"),
        (["edge01", "--"], 2, "usage: there is nothing behind --"),
        (["edge01", "--fanout", "0", "--", "true"], 2, "usage: --fanout '0'"),
        (["edge01", "--timeout", "5", "--", "true"], 2, "usage: --timeout: '5' is not a duration"),
        (["edge01", "--no-such-flag", "--", "true"], 2, "usage: No such option"),
    ],
)
async def test_exit_codes_and_their_lines(fleet: Installation, words: list[str], code: int, says: str) -> None:
    done = await fleet.edgectl("exec", *words)
    assert done.code == code, done.err
    assert says in done.err


async def test_arguments_reach_the_program_as_they_are_and_a_shell_only_when_asked(fleet: Installation) -> None:
    plain = await fleet.edgectl("exec", "edge01", "--", "printf", "%s|", "a b", "$HOME", "*", "--all", "")
    assert plain.text == "a b|$HOME|*|--all||"
    shell = await fleet.edgectl("exec", "edge01", "--shell", "--", "echo $((6 * 7)) | tr 4 x")
    assert shell.text == "x2\n"


async def test_jsonl_is_one_object_per_event_and_ends_with_the_summary(fleet: Installation) -> None:
    done = await fleet.edgectl("exec", "edge01", "-o", "jsonl", "--", "sh", "-c", "echo ä; printf '\\377' >&2; exit 3")
    rows: list[dict[str, Any]] = [json.loads(line) for line in done.lines]
    assert [row["seq"] for row in rows[:-1]] == list(range(1, len(rows)))
    assert {row["command"] for row in rows} == {rows[0]["command"]}
    outputs = {row["type"]: row for row in rows[:-1]}
    assert outputs["stdout"]["data"] == "ä\n"
    assert outputs["stderr"]["data_b64"] == "/w=="
    assert outputs["stdout"]["node"]["name"] == "edge01"
    end = outputs["end"]
    assert (end["outcome"], end["started"], end["exit_code"], end["signal"]) == ("failed", True, 3, None)
    assert (end["stdout_bytes"], end["stderr_bytes"], end["truncated"]) == (3, 1, False)
    assert rows[-1]["schema"] == "edgectl.exec.summary/v1"
    assert rows[-1]["counts"]["failed"] == 1
    assert (rows[-1]["exit_code"], done.code) == (3, 3)


async def test_json_is_one_document_with_every_execution(fleet: Installation) -> None:
    done = await fleet.edgectl("exec", "--all", "-o", "json", "--", "echo", "hello")
    document = json.loads(done.text)
    assert document["schema"] == "edgectl.exec.summary/v1"
    shown = [(item["node"]["name"], item["outcome"], item["stdout"]) for item in document["executions"]]
    assert shown == [("edge01", "ok", "hello\n"), ("edge02", "ok", "hello\n")]
    assert done.err == ""


@pytest.mark.parametrize("form", ["json", "jsonl"])
async def test_an_error_is_the_last_object_on_stdout_and_a_line_on_stderr(fleet: Installation, form: str) -> None:
    done = await fleet.edgectl("exec", "--cluster", "nowhere", "-o", form, "--", "true")
    error = json.loads(done.lines[-1])
    assert (error["schema"], error["code"], error["started"]) == ("edgectl.error/v1", "cluster_not_found", False)
    assert error["request_id"]
    assert done.err.startswith("edgectl: cluster_not_found: ")
    assert done.code == 5


async def test_targets_are_named_by_id_prefix_by_cluster_and_by_dns_name(fleet: Installation) -> None:
    node = next(item for item in await fleet.nodes() if item.name == "edge01")
    for name in (node.id, node.id[:8], "edge01.default", "node-edge01.cluster-default.nm.internal"):
        done = await fleet.edgectl("exec", name, "--", "echo", "it")
        assert (done.code, done.text) == (0, "it\n"), name
    done = await fleet.edgectl("exec", "--cluster", "default", "--", "echo", "it")
    assert sorted(done.lines) == ["edge01: it", "edge02: it"]


async def test_dry_run_names_the_nodes_and_runs_nothing(fleet: Installation) -> None:
    done = await fleet.edgectl("exec", "--all", "-n", "-o", "jsonl", "--", "touch", str(fleet.directory / "ran"))
    assert [json.loads(line)["node"]["name"] for line in done.lines] == ["edge01", "edge02"]
    assert not (fleet.directory / "ran").exists()


async def test_the_same_request_id_runs_once(fleet: Installation) -> None:
    words = ("exec", "edge01", "--request-id", "deploy-7", "--shell", "--", f"echo ran >> {fleet.directory}/ran")
    first = await fleet.edgectl(*words)
    again = await fleet.edgectl(*words)
    assert (first.code, again.code) == (0, 0)
    assert (fleet.directory / "ran").read_text() == "ran\n"
    assert first.err == ""
    assert re.fullmatch(r"repeated: this is command [0-9a-f-]{36} from \d+ s ago\n", again.err)
    machine = await fleet.edgectl(*words[:4], "-o", "json", *words[4:])
    assert (machine.code, machine.err) == (0, "")


async def test_the_same_request_id_detached_says_that_it_is_repeated(fleet: Installation) -> None:
    words = ("exec", "edge01", "--detach", "--request-id", "deploy-8", "--", "true")
    first = await fleet.edgectl(*words)
    again = await fleet.edgectl(*words)
    assert (first.err, again.text) == ("", first.text)
    assert again.err.startswith(f"repeated: this is command {first.text.strip()} from ")


async def test_detached_prints_the_id_and_the_command_runs_on(fleet: Installation) -> None:
    done = await fleet.edgectl("exec", "--all", "--detach", "--name", "nightly", "--", "true")
    command_id = done.text.strip()

    async def counts() -> bool:
        shown = json.loads((await fleet.edgectl("command", "show", command_id, "-o", "json")).text)
        assert shown["name"] == "nightly"
        return bool(shown["counts"]["ok"] == 2 and shown["finished_at"])

    assert await eventually(counts)


async def test_view_none_shows_only_how_it_ended(fleet: Installation) -> None:
    done = await fleet.edgectl("exec", "--all", "--view", "none", "--", "echo", "noise")
    assert (done.code, done.text) == (0, "")
    assert done.err.startswith("2 ok")


async def test_no_prefix(fleet: Installation) -> None:
    done = await fleet.edgectl("exec", "--all", "--no-prefix", "--", "echo", "x")
    assert done.lines == ["x", "x"]


async def test_a_process_left_behind_does_not_hold_the_command(fleet: Installation) -> None:
    done = await fleet.edgectl("exec", "edge01", "--", "sh", "-c", "sleep 60 & echo done")
    assert (done.code, done.text) == (0, "done\n")
    assert "still holds the output open" in done.err


async def test_a_hundred_megabytes_arrive_byte_for_byte(fleet: Installation) -> None:
    script = "import sys\nfor n in range(100): sys.stdout.buffer.write(bytes([n]) * 1_000_000)"
    done = await fleet.edgectl("exec", "edge01", "--", "python3", "-c", script)
    assert done.code == 0
    assert len(done.out) == 100_000_000
    assert all(done.out[n * 1_000_000 : (n + 1) * 1_000_000] == bytes([n]) * 1_000_000 for n in range(100))


async def test_ten_lines_from_each_of_many_executions_keep_their_order(fleet: Installation) -> None:
    done = await fleet.edgectl("exec", "--all", "--", "seq", "1", "2000")
    for name in ("edge01", "edge02"):
        assert [line for line in done.lines if line.startswith(name)] == [f"{name}: {n}" for n in range(1, 2001)]
