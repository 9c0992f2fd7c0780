"""`edgectl ssh` with the system's own ssh, through the admin, into the embedded SSH server of a node."""

from __future__ import annotations

import json
from pathlib import Path

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


async def test_a_token_that_is_revoked_takes_its_sessions_along(one_node: Installation) -> None:
    made = json.loads((await one_node.edgectl("token", "create", "ci", "--role", "operator", "-o", "json")).text)
    environ = {**one_node.operator_environment(), "EDGECTL_TOKEN": made["token"]}
    program = await one_node.start_program("edgectl", "ssh", "edge01", "sleep 600", environ=environ, log="ssh.log")

    async def is_open() -> bool:
        found = json.loads((await one_node.edgectl("ssh-session", "list", "--open", "-o", "json")).text)
        return [session["principal"] for session in found] == ["ci"]

    await eventually(is_open, what="the session")
    await one_node.edgectl("token", "delete", "ci", "--yes")
    assert await program.wait() == 255


async def test_new_host_keys_of_a_node_are_known_and_on_record(one_node: Installation) -> None:
    assert (await one_node.edgectl("ssh", "edge01", "true")).code == 0
    await one_node.stop_agent("edge01")
    for path in (one_node.directory / "edge01" / "ssh").glob("host-*"):
        path.unlink()
    await one_node.start_agent("edge01")

    async def is_on_record() -> bool:
        rows = json.loads((await one_node.edgectl("audit", "list", "-o", "json")).text)
        return "ssh.host_keys_changed" in {row["action"] for row in rows}

    await eventually(is_on_record, what="the audit row")
    assert (await one_node.edgectl("ssh", "edge01", "true")).code == 0


async def test_a_node_that_is_off_or_without_ssh_says_so(site: Installation) -> None:
    await site.add_agent("edge01", ssh_server="off")
    done = await site.edgectl("ssh", "edge01", "true")
    assert (done.code, "ssh_unsupported" in done.err) == (255, True)
    await site.add_agent("edge02")
    await site.stop_agent("edge02")
    done = await site.edgectl("ssh", "edge02", "true")
    assert (done.code, "node_offline" in done.err) == (255, True)


async def test_a_recording_is_exported_and_only_played_on_a_terminal(site: Installation) -> None:
    await site.add_agent("edge01", ssh_record="yes")
    done = await site.edgectl("ssh", "-tt", "edge01", "echo recorded")
    assert (done.code, "recorded" in done.text) == (0, True), done.err

    async def ended() -> str:
        [session] = json.loads((await site.edgectl("ssh-session", "list", "-o", "json")).text)
        return str(session["id"]) if session["has_recording"] else ""

    session = await eventually(ended, what="the end of the session")
    exported = await site.edgectl("ssh-session", "export", session[:8])
    header, *events = [json.loads(line) for line in exported.lines]
    assert (exported.code, header["version"]) == (0, 2)
    assert "recorded" in "".join(text for _, kind, text in events if kind == "o")
    played = await site.edgectl("ssh-session", "play", session)
    assert (played.code, "on a terminal" in played.err) == (2, True)


async def test_without_an_ssh_program_our_own_client_does_it(one_node: Installation, tmp_path: Path) -> None:
    environ = {"PATH": str(tmp_path)}
    done = await one_node.edgectl(
        "ssh", "edge01", "--", "sh", "-c", "cat; echo err >&2; exit 9", stdin=b"x" * 300_000, environ=environ
    )
    assert (done.code, done.out, done.err) == (9, b"x" * 300_000, "err\n")
    done = await one_node.edgectl("ssh", "edge01", "-L", "1:localhost:1", environ=environ)
    assert (done.code, "without an ssh program" in done.err) == (255, True)


async def ask_whether_a_node(site: Installation, host: str, *words: str) -> tuple[int, str]:
    done = await site.edgectl("ssh-config", *words, "--admit", host)
    return done.code, done.err


async def test_plain_ssh_asks_whether_a_host_is_a_node(site: Installation) -> None:
    await site.add_agent("edge01")
    await site.add_agent("localhost")
    node_id = json.loads((await site.edgectl("node", "show", "edge01", "-o", "json")).text)["id"]
    assert await ask_whether_a_node(site, "root@edge01") == (0, "")
    assert await ask_whether_a_node(site, f"root@{node_id}") == (0, "")
    assert await ask_whether_a_node(site, "root@github.invalid") == (1, "")
    assert await ask_whether_a_node(site, f"root@{node_id[:6]}") == (1, "")
    code, said = await ask_whether_a_node(site, "root@localhost")
    assert (code, "means something else here" in said) == (1, True)
    assert await ask_whether_a_node(site, "root@localhost", "--hosts", "local*") == (0, "")
    await site.stop_agent("edge01")
    code, said = await ask_whether_a_node(site, "root@edge01")
    assert (code, "node_offline" in said) == (0, True)


async def test_a_block_for_certain_hosts_and_users(one_node: Installation) -> None:
    block = (await one_node.edgectl("ssh-config", "--hosts", "edge*", "--user", "root")).text
    assert "Match originalhost edge* exec" in block
    assert "    User root\n" in block
