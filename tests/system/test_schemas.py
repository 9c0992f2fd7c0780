"""Every command of `edgectl` that prints JSON prints what its published schema describes, and nothing besides.

`Installation.edgectl` holds each output against its schema, strictly; here each command gets its turn.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from edgectl.command_pages import leaves, read_pages
from tests.support.harness import Installation
from tests.support.schemas import check, check_output

pytestmark = pytest.mark.asyncio(loop_scope="module")

SILENT = {
    "cluster delete",
    "command delete",
    "completion",
    "context delete",
    "context use",
    "demo up",
    "enroll-key delete",
    "logout",
    "node delete",
    "ssh",
    "ssh-config",
    "ssh-key delete",
    "ssh-session export",
    "ssh-session play",
    "ssh-user delete",
    "token delete",
}
"""Commands that print nothing for programs; what `demo up` prints is an exec's."""

ELSEWHERE = {
    *("cp", "proxy", "tunnel", "ssh-key create", "ssh-key list", "ssh-session list", "ssh-session show"),
    *("demo status", "demo down", "login", "context list", "context show"),
}
"""Commands that need more than a fleet; they have tests of their own, below or in another file of this directory."""

CASES: dict[str, Sequence[str]] = {
    "exec": ["exec", "--all", "--shell", "--", "echo out; echo err >&2; exit 3"],
    "node list": ["node", "list"],
    "node show": ["node", "show", "edge01"],
    "node set": ["node", "set", "edge01", "--label", "site=oslo"],
    "node alias": ["node", "alias", "edge01", "web-9"],
    "cluster list": ["cluster", "list"],
    "cluster show": ["cluster", "show", "default"],
    "cluster create": ["cluster", "create", "bergen", "--node-limit", "3"],
    "cluster set": ["cluster", "set", "bergen", "--no-node-limit"],
    "node move": ["node", "move", "edge01", "bergen"],
    "enroll-key create": ["enroll-key", "create", "--label", "site=oslo"],
    "enroll-key list": ["enroll-key", "list"],
    "command list": ["command", "list"],
    "token create": ["token", "create", "ci", "--role", "viewer", "--cluster", "default"],
    "token list": ["token", "list"],
    "token show": ["token", "show", "ci"],
    "ssh-user create": ["ssh-user", "create", "alice", "--cluster", "default", "--expires", "1h"],
    "ssh-user list": ["ssh-user", "list"],
    "ssh-user show": ["ssh-user", "show", "alice"],
    "audit list": ["audit", "list"],
    "admin status": ["admin", "status"],
    "config path": ["config", "path"],
    "explain": ["explain"],
    "version": ["version", "--server"],
}

BY_ID = {
    "enroll-key show",
    "enroll-key set",
    "command show",
    "command cancel",
    "command logs",
    "command wait",
    "command attach",
    "command retry",
    "command diff",
}
"""Commands that are called with an id that another one printed."""


async def ask(site: Installation, *words: str, output: str = "json") -> Any:
    done = await site.edgectl(*words[:1], "-o", output, *words[1:])
    assert done.text, done.err
    return json.loads(done.text) if output == "json" else [json.loads(line) for line in done.lines]


async def test_every_command_has_a_case_here() -> None:
    known = {leaf.path for page in read_pages().values() for leaf in leaves(page)}
    assert known - SILENT - ELSEWHERE - BY_ID - set(CASES) == set(), "add a case for the new command"


@pytest.mark.parametrize("path", CASES)
async def test_its_document_is_described(fleet: Installation, path: str) -> None:
    found = await ask(fleet, *CASES[path])
    assert (found[0] if isinstance(found, list) else found)["schema"] != "edgectl.error/v1"


@pytest.mark.parametrize("path", ["node list", "node show", "explain"])
async def test_its_lines_are_described(fleet: Installation, path: str) -> None:
    assert await ask(fleet, *CASES[path], output="jsonl")


async def test_what_is_called_by_id_is_described(fleet: Installation) -> None:
    key = (await ask(fleet, "enroll-key", "create"))["id"]
    await ask(fleet, "enroll-key", "show", key)
    await ask(fleet, "enroll-key", "set", key, "--uses", "2")
    accepted = await ask(fleet, "exec", "--all", "--detach", "--", "sleep", "60")
    assert accepted["schema"] == "edgectl.exec.accepted/v1"
    shown = await ask(fleet, "command", "show", accepted["command"])
    assert len(shown["executions"]) == 2
    await ask(fleet, "command", "cancel", accepted["command"])


@pytest.mark.parametrize("output", ["json", "jsonl"])
async def test_what_was_run_before_is_described(fleet: Installation, output: str) -> None:
    first = (await ask(fleet, "exec", "--all", "--shell", "--", "echo one; exit 3"))["command"]
    second = (await ask(fleet, "command", "retry", first))["command"]
    for words in (["logs", first], ["wait", first], ["attach", second], ["retry", second, "--dry-run"]):
        assert await ask(fleet, "command", *words, output=output)
    compared = await ask(fleet, "command", "diff", first, second, output=output)
    assert [row["change"] for row in compared] == ["same", "same"]


async def test_a_dry_run_is_described(fleet: Installation) -> None:
    targets = await ask(fleet, "exec", "--all", "--dry-run", "--", "true")
    assert {item["schema"] for item in targets} == {"edgectl.exec.target/v1"}


@pytest.mark.parametrize("output", ["json", "jsonl"])
async def test_bytes_that_are_no_text_and_odd_ends_are_described(fleet: Installation, output: str) -> None:
    await ask(fleet, "exec", "--all", "--", "printf", r"\377\000", output=output)
    await ask(fleet, "exec", "--all", "--", "no-such-program", output=output)
    await ask(fleet, "exec", "--all", "--timeout", "100ms", "--", "sleep", "60", output=output)
    await ask(fleet, "exec", "--all", "--", "sh", "-c", "kill -9 $$", output=output)


async def test_the_events_of_an_exec_end_with_a_summary(fleet: Installation) -> None:
    rows = await ask(fleet, "exec", "edge01", "--", "echo", "x", output="jsonl")
    assert [row.get("type") for row in rows if row.get("type") != "state"] == ["stdout", "end", None]
    assert rows[-1]["schema"] == "edgectl.exec.summary/v1"


@pytest.mark.parametrize("output", ["json", "jsonl"])
@pytest.mark.parametrize(
    "words",
    [
        ["node", "show", "nobody"],
        ["exec", "--", "true"],
        ["node", "list", "--nonsense"],
        ["explain", "nonsense"],
        ["cluster", "create", "default"],
    ],
)
async def test_errors_are_described(fleet: Installation, words: Sequence[str], output: str) -> None:
    rows = await ask(fleet, *words, output=output)
    assert (rows if isinstance(rows, dict) else rows[-1])["schema"] == "edgectl.error/v1"


async def test_contexts_and_a_login_are_described(fleet: Installation) -> None:
    environ = {"EDGECTL_CONFIG_DIR": str(fleet.directory / "described"), "EDGECTL_TOKEN": ""}
    word = fleet.admin.login.encode()
    await fleet.edgectl("login", "--keyring", "file", "--name", "one", "-o", "json", environ=environ, stdin=word)
    for words in (("context", "list"), ("context", "show", "one")):
        assert (await fleet.edgectl(*words, "-o", "json", environ=environ)).code == 0


async def test_the_demo_is_described(fleet: Installation) -> None:
    place = ("--dir", str(fleet.directory / "no-demo"))
    assert (await fleet.edgectl("demo", "status", *place, "-o", "json")).text == "[]\n"
    assert (await fleet.edgectl("demo", "down", *place, "-o", "json")).code == 0
    process = {"schema": "edgectl.demo.process/v1", "name": "admin", "pid": 7, "running": True, "log": "/x"}
    check(process)


async def test_an_output_of_another_shape_is_noticed() -> None:
    with pytest.raises(AssertionError, match="no file"):
        check_output(["node", "list", "-o", "json"], '[{"schema": "edgectl.surprise/v1"}]')
    check_output(["exec", "x", "--", "cat", "-o", "json"], "whatever it is")
