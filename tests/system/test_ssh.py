"""`edgectl ssh` with the system's own ssh, through the admin, into the embedded SSH server of a node."""

from __future__ import annotations

import json

from tests.support.eventually import eventually
from tests.support.harness import Installation


async def test_one_command_with_its_streams_and_its_exit_status(one_node: Installation) -> None:
    done = await one_node.edgectl("ssh", "edge01", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.code, done.text, done.err) == (7, "out\n", "err\n")


async def test_its_end_is_told_as_it_was(one_node: Installation) -> None:
    assert (await one_node.edgectl("ssh", "edge01", "true")).code == 0

    async def outcome() -> str:
        [session] = json.loads((await one_node.edgectl("ssh-session", "list", "-o", "json")).text)
        return str(session["outcome"] if session["ended_at"] else "")

    assert await eventually(outcome, what="the session's end") == "closed"
    rows = json.loads((await one_node.edgectl("audit", "list", "-o", "json")).text)
    assert {row["action"] for row in rows} >= {"ssh.admit", "ssh.attempt", "ssh.open", "ssh.close", "tunnel.close"}
    assert [row["details"]["outcome"] for row in rows if row["action"] == "tunnel.close"] == ["ok"]
