"""Central accounts and keys at a node's own SSH port: who gets in, who does not, and what ends a session."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import paramiko
import pytest

from edge_wire.listener import ListenAddress
from tests.support.eventually import eventually
from tests.support.harness import MASTER_KEY, Installation
from tests.support.programs import Finished, run_command

LOOPBACK = ListenAddress(host="127.0.0.1", port=0)
PASSWORD = "correct horse battery"


class Door:
    """A node that listens for SSH, and a key of alice's."""

    def __init__(self, site: Installation, directory: Path) -> None:
        self.site = site
        self.key = directory / "key"

    @property
    def port(self) -> int:
        """Where the node listens."""
        server = self.site.agents["edge01"].ssh
        assert server is not None
        assert server.listens is not None
        return server.listens.port

    def argv(self, user: str, *command: str, key: Path | None = None) -> list[str]:
        """OpenSSH to the node's port with one key."""
        options = ["UserKnownHostsFile=/dev/null", "StrictHostKeyChecking=no", "LogLevel=ERROR", "BatchMode=yes"]
        words = [word for option in (*options, "IdentitiesOnly=yes") for word in ("-o", option)]
        return [
            "ssh",
            "-F",
            "none",
            *words,
            "-i",
            str(key or self.key),
            "-p",
            str(self.port),
            f"{user}@127.0.0.1",
            *command,
        ]

    async def ssh(self, user: str, *command: str, key: Path | None = None) -> Finished:
        """The same to its end."""
        return await run_command(*self.argv(user, *command, key=key), environ={})

    async def start(self, user: str, *command: str) -> asyncio.subprocess.Process:
        """The same, while it runs."""
        return await asyncio.create_subprocess_exec(
            *self.argv(user, *command), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )

    async def told(self, *words: str) -> Any:
        """What edgectl prints as JSON."""
        return json.loads((await self.site.edgectl(*words, "-o", "json")).text)

    async def attempts(self) -> list[tuple[str, str, str]]:
        """User, method and outcome of each attempt in the audit log, oldest first."""
        rows = [row for row in await self.told("audit", "list") if row["action"] == "ssh.attempt"]
        found = [(row["details"]["user"], row["details"]["method"], row["details"]["outcome"]) for row in rows]
        return found[::-1]


def new_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "laptop", "-f", path], check=True)
    return path


@pytest.fixture
async def door(site: Installation, tmp_path: Path) -> Door:
    await site.add_agent("edge01", ssh_listen=LOOPBACK)
    made = Door(site, tmp_path)
    new_key(made.key)
    return made


async def add_alice(door: Door, *words: str, key: tuple[str, ...] = ()) -> None:
    done = await door.site.edgectl("ssh-user", "create", "alice", "--runs-as", "root", *words)
    assert done.code == 0, done.err
    done = await door.site.edgectl("ssh-key", "create", "alice", "--file", f"{door.key}.pub", *key)
    assert done.code == 0, done.err


async def is_ended(process: asyncio.subprocess.Process) -> int:
    return await asyncio.wait_for(process.wait(), 30)


async def outcome_of_the_session(door: Door) -> str:
    async def found() -> str:
        [session] = await door.told("ssh-session", "list")
        return str(session["outcome"]) if session["ended_at"] else ""

    return await eventually(found, within=30.0, what="the session's end")


async def test_a_key_lets_in_as_the_local_account(door: Door) -> None:
    await add_alice(door, "--cluster", "default", "-l", "!site", key=("--from", "127.0.0.0/8"))
    done = await door.ssh("alice", "id -un; echo $USER")
    assert (done.code, done.text) == (0, "root\nroot\n"), done.err
    assert await outcome_of_the_session(door) == "closed"
    [session] = await door.told("ssh-session", "list")
    assert (session["user"], session["local_account"], session["principal"]) == ("alice", "root", None)
    assert (session["address"], session["programs"]) == ("127.0.0.1", ["exec id -un; echo $USER"])
    assert await door.attempts() == [("alice", "publickey", "ok")]


@pytest.mark.parametrize(
    ("user", "key"),
    [(("--cluster", "default", "-x", "edge01"), ()), (("-l", "site=bergen"), ()), ((), ("--from", "192.0.2.0/24"))],
)
async def test_an_account_that_is_not_good_here_is_refused(door: Door, user: tuple[str], key: tuple[str]) -> None:
    await add_alice(door, *user, key=key)
    done = await door.ssh("alice", "true")
    assert (done.code, "Permission denied" in done.err) == (255, True)
    assert {outcome for *_, outcome in await door.attempts()} == {"refused"}


async def test_another_user_another_key_and_a_name_that_only_looks_alike_are_refused(
    door: Door, tmp_path: Path
) -> None:
    await add_alice(door)
    other = new_key(tmp_path / "other")
    refused = [
        await door.ssh("bob", "true"),
        await door.ssh("Alice", "true"),
        await door.ssh("alic*", "true"),
        await door.ssh("alice", "true", key=other),
        await door.ssh("root", "true"),
    ]
    assert {done.code for done in refused} == {255}
    assert {outcome for *_, outcome in await door.attempts()} == {"refused"}


def with_password(port: int, user: str, password: str) -> bool:
    """Whether a password lets in."""
    transport = paramiko.Transport(("127.0.0.1", port))
    try:
        transport.connect(username=user, password=password)
    except paramiko.AuthenticationException:
        return False
    finally:
        transport.close()
        transport.join(30.0)  # its connection is closed by its thread, and counts as one that waits until then
    return True


async def test_a_password_and_that_a_stranger_costs_as_much(door: Door, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    await add_alice(door, "--password", str(tmp_path / "password"))
    await door.site.edgectl("ssh-user", "create", "bob", "--runs-as", "root")
    checked = door.site.admin.ssh.passwords
    tried = {}
    for user, password in (("alice", PASSWORD), ("alice", "wrong"), ("bob", PASSWORD), ("nobody", PASSWORD)):
        before = checked.checked
        lets_in = await asyncio.to_thread(with_password, door.port, user, password)
        tried[user, password] = (lets_in, checked.checked - before)
    assert tried == {
        ("alice", PASSWORD): (True, 1),
        ("alice", "wrong"): (False, 1),
        ("bob", PASSWORD): (False, 1),
        ("nobody", PASSWORD): (False, 1),
    }


async def test_guessing_is_slowed(door: Door) -> None:
    passwords = door.site.admin.ssh.passwords
    for _ in range(12):
        for guess in ("a", "b", "c"):
            assert not await asyncio.to_thread(with_password, door.port, "alice", guess)
    assert passwords.checked <= 30


@pytest.mark.parametrize("gone", [("ssh-key", "delete", "alice", "laptop"), ("ssh-user", "delete", "alice")])
async def test_what_is_revoked_ends_its_sessions(door: Door, gone: tuple[str, ...]) -> None:
    await add_alice(door)
    process = await door.start("alice", "echo here; exec sleep 600")
    assert process.stdout is not None
    assert await process.stdout.readline() == b"here\n"
    assert (await door.site.edgectl(*gone, "--yes")).code == 0
    assert await is_ended(process) == 255
    assert await outcome_of_the_session(door) == "revoked"
    assert (await door.ssh("alice", "true")).code == 255


async def test_an_account_that_has_expired_is_refused_and_its_session_goes_on(door: Door) -> None:
    await add_alice(door, "--expires", "3s")
    process = await door.start("alice", "echo here; exec sleep 600")
    assert process.stdout is not None
    assert await process.stdout.readline() == b"here\n"

    async def is_refused() -> bool:
        return (await door.ssh("alice", "true")).code == 255

    await eventually(is_refused, within=30.0, what="the account has expired")
    assert process.returncode is None
    process.terminate()
    await is_ended(process)


async def test_no_admin_no_login(door: Door) -> None:
    await add_alice(door)
    assert (await door.ssh("alice", "true")).code == 0
    await door.site.stop_admin()
    done = await door.ssh("alice", "true")
    assert (done.code, "Permission denied" in done.err) == (255, True)


async def test_a_grace_is_for_keys_that_were_verified(site: Installation, tmp_path: Path) -> None:
    await site.add_agent("edge01", ssh_listen=LOOPBACK, ssh_offline_grace=600)
    door = Door(site, tmp_path)
    new_key(door.key)
    await add_alice(door)
    assert (await door.ssh("alice", "true")).code == 0
    await site.stop_admin()
    assert (await door.ssh("alice", "echo still")).text == "still\n"
    assert (await door.ssh("alice", "true", key=new_key(tmp_path / "other"))).code == 255


async def test_what_ends_while_the_admin_is_away_is_on_record_when_it_is_back(door: Door) -> None:
    await add_alice(door)
    process = await door.start("alice", "echo here; exec sleep 600")
    assert process.stdout is not None
    await process.stdout.readline()
    port = door.site.admin.address.port
    await door.site.stop_admin()
    assert process.returncode is None
    process.terminate()
    await is_ended(process)
    await door.site.start_admin(grpc_listen=f"127.0.0.1:{port}")
    assert await outcome_of_the_session(door) in {"closed", "connection_lost"}


async def test_a_key_that_is_revoked_while_the_node_is_away_ends_its_session_when_it_is_back(door: Door) -> None:
    await add_alice(door)
    process = await door.start("alice", "echo here; exec sleep 600")
    assert process.stdout is not None
    await process.stdout.readline()
    port = door.site.admin.address.port
    await door.site.stop_admin()
    away = await door.site.start_admin()  # elsewhere, where the node does not look
    await door.site.edgectl("ssh-key", "delete", "alice", "laptop", "--yes", app=away)
    await door.site.stop_admin(away)
    assert process.returncode is None
    await door.site.start_admin(grpc_listen=f"127.0.0.1:{port}")
    assert await is_ended(process) == 255
    assert await outcome_of_the_session(door) == "revoked"


async def test_an_agent_that_stops_says_so(door: Door) -> None:
    await add_alice(door)
    process = await door.start("alice", "echo here; exec sleep 600")
    assert process.stdout is not None
    await process.stdout.readline()
    await door.site.stop_agent("edge01")
    assert await is_ended(process) == 255
    await door.site.start_agent("edge01")
    assert await outcome_of_the_session(door) == "node_stopped"


async def test_edgectl_ssh_as_an_account_for_ssh(door: Door) -> None:
    await add_alice(door, "-l", "!site")
    done = await door.site.edgectl("ssh", "alice@edge01", "id -un")
    assert (done.code, done.text) == (0, "root\n"), done.err
    await door.site.edgectl("node", "set", "edge01", "--label", "site=oslo")
    done = await door.site.edgectl("ssh", "alice@edge01", "id -un")  # which is a name of the node's own now
    assert (done.code, "no account alice" in done.err) == (1, True)


async def test_edgectl_ssh_as_an_account_that_has_expired_or_goes(door: Door) -> None:
    await add_alice(door, "--expires", "1s")

    async def is_denied() -> bool:
        done = await door.site.edgectl("ssh", "alice@edge01", "true")
        return (done.code, "ssh_user_denied" in done.err) == (255, True)

    await eventually(is_denied, within=20.0, what="the account has expired")
    await door.site.edgectl("ssh-user", "create", "bob", "--runs-as", "root")
    environ = door.site.operator_environment()
    program = await door.site.start_program("edgectl", "ssh", "bob@edge01", "sleep 600", environ=environ, log="ssh.log")

    async def is_open() -> bool:
        return [session["user"] for session in await door.told("ssh-session", "list", "--open")] == ["bob"]

    await eventually(is_open, what="the session")
    await door.site.edgectl("ssh-user", "delete", "bob", "--yes")
    assert await program.wait() == 255


async def test_a_local_account_that_is_not_there_is_said_on_stderr(door: Door) -> None:
    done = await door.site.edgectl("ssh", "no-such-account@edge01", "true")
    assert (done.code, "no account no-such-account" in done.err) == (1, True)
    assert await outcome_of_the_session(door) == "account_refused"


async def test_port_40022_of_a_node_is_its_ssh_server_by_the_admins_proxy_too(door: Door) -> None:
    await add_alice(door)
    http = door.site.admin.proxies.http
    assert http is not None
    place = f"http://{http.address.host}:{http.address.port}"
    name = "node-edge01.cluster-default.nm.internal"
    words = ["curl", "-sS", "--max-time", "5", "--proxytunnel", "--proxy", place, "--proxy-user", f"_:{MASTER_KEY}"]
    done = await run_command(*words, f"telnet://{name}:40022", environ={}, stdin=b"")
    assert done.text.startswith("SSH-2.0-"), done.err
