"""Commands through the SSH server: their bytes, their ends, their surroundings, and what outlives them."""

from __future__ import annotations

import asyncio
import hashlib
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from tests.edge_agent.ssh.ssh_node import CREDENTIAL, USER, SshNode, lives, ssh_node
from tests.support.eventually import eventually


async def test_a_command_has_its_own_stderr_and_exit_status(node: SshNode) -> None:
    done = await node.run("echo out; echo err >&2; exit 3")
    assert (done.code, done.out, done.err) == (3, b"out\n", "err\n")


async def test_a_signal_is_reported_as_one(node: SshNode) -> None:
    done = await node.run("kill -TERM $$", options=["-v"])
    assert done.code == 255
    assert "exit-signal" in done.err


async def test_stdin_reaches_the_command_and_so_does_its_end(node: SshNode) -> None:
    data = os.urandom(3_000_000)
    done = await node.run("cat", stdin=data)
    assert done.code == 0
    assert done.out == data


async def test_a_command_that_reads_in_fits_gets_all_of_its_stdin_in_order(node: SshNode) -> None:
    data = os.urandom(6_000_000)
    done = await node.run("for n in 1 2 3 4 5; do head -c 700000; sleep 0.05; done; cat", stdin=data)
    assert done.out == data
    ended = await node.admin.end_of_a_session()
    assert ended.deeds.bytes_received == len(data)


async def test_a_command_that_reads_none_of_its_stdin_ends_as_it_wants(node: SshNode) -> None:
    done = await node.run("exec <&-; sleep 0.1; echo over; exit 4", stdin=bytes(6_000_000))
    assert (done.text, done.code) == ("over\n", 4)


async def test_all_of_a_large_output_arrives_from_both_streams(node: SshNode) -> None:
    done = await node.run("head -c 20000000 /dev/zero & head -c 5000000 /dev/zero | tr '\\0' x >&2; wait; exit 7")
    assert (done.code, len(done.out), len(done.err)) == (7, 20_000_000, 5_000_000)


async def test_a_slow_reader_loses_nothing(node: SshNode) -> None:
    async with node.running("seq 1000000") as ssh:
        assert ssh.process.stdout is not None
        await eventually(lambda: node.admin.started)
        digest = hashlib.sha256()
        while piece := await ssh.process.stdout.read(100_000):
            digest.update(piece)
            await asyncio.sleep(0)
        assert await ssh.process.wait() == 0
    assert digest.hexdigest() == hashlib.sha256(subprocess.check_output(["seq", "1000000"])).hexdigest()


async def test_a_command_that_nobody_reads_learns_so(node: SshNode, tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    async with node.running(f"yes; echo over > {ended}") as ssh:
        await ssh.until(b"y\n")
        assert ssh.process.stdout is not None
        ssh.process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
        await eventually(ended.exists)


async def test_the_end_follows_the_command_and_not_what_it_left_behind(node: SshNode) -> None:
    control = ["-o", f"ControlPath={node.directory}/mux"]
    async with node.running("cat", options=[*control, "-M"]) as master:
        await master.type(b"here\n")
        await master.until(b"here\n")
        left = [
            await node.run(command, options=control)
            for command in (
                "sleep 1000 & echo $!",
                "nohup sleep 1000 >/dev/null 2>&1 & echo $!",
                "setsid sleep 1000 >/dev/null 2>&1 & echo $!",
            )
        ]
        assert [done.code for done in left] == [0, 0, 0]
        pids = [int(done.text) for done in left]
        assert all(lives(pid) for pid in pids), "what was put into the background lives on"
    await node.admin.end_of_a_session()
    assert not any(lives(pid) for pid in pids), "but not after the connection"


async def test_the_environment_is_that_of_a_login(node: SshNode) -> None:
    os.environ["OF_THE_AGENT"] = "yes"
    try:
        done = await node.run("env", options=["-o", "SetEnv=LANG=C.UTF-8 LC_TIME=C LD_PRELOAD=/x PATH=/evil"])
    finally:
        del os.environ["OF_THE_AGENT"]
    variables = dict(line.split("=", 1) for line in done.lines)
    me = pwd.getpwuid(os.geteuid())
    assert variables["HOME"] == me.pw_dir
    assert variables["USER"] == variables["LOGNAME"] == me.pw_name
    assert variables["LANG"] == "C.UTF-8"
    assert variables["LC_TIME"] == "C"
    assert variables["SSH_CONNECTION"].endswith(f" 127.0.0.1 {node.port}")
    assert variables["SSH_CLIENT"].startswith("127.0.0.1 ")
    assert not {"LD_PRELOAD", "OF_THE_AGENT", "SSH_TTY", "SSH_AUTH_SOCK"} & variables.keys()
    assert variables["PATH"] != "/evil"


async def test_hidden_variables_stay_hidden(tmp_path: Path) -> None:
    async with ssh_node(tmp_path, environment=("*",), hidden=frozenset({"SECRET"})) as node:
        done = await node.run("env", options=["-o", "SetEnv=SECRET=1 OPEN=2"])
    assert "OPEN=2" in done.lines
    assert "SECRET=1" not in done.lines


WORDS = [f"{number:01000}" for number in range(300)]
"""300 KB; the kernel takes 128 KiB."""


@pytest.mark.parametrize("options", [[], ["-tt"]])
async def test_a_command_larger_than_the_kernel_takes_is_refused(node: SshNode, options: list[str]) -> None:
    done = await node.run("echo", *WORDS, options=options)
    assert done.code == 126
    assert "larger than this node's kernel takes" in done.err


async def test_a_refused_command_breaks_nothing_else_on_its_connection(node: SshNode) -> None:
    control = ["-o", f"ControlPath={node.directory}/mux"]
    async with node.running("cat", options=[*control, "-M"]) as master:
        await master.type(b"before\n")
        await master.until(b"before\n")
        assert (await node.run("echo", *WORDS[:200], options=control)).code == 126
        await master.type(b"after\n")
        await master.until(b"after\n")
        done = await node.run("echo", *WORDS[:100], options=control)
        assert (done.code, len(done.out)) == (0, 100 * 1001)
    assert len(node.admin.started) == 1


async def test_an_unknown_subsystem_is_refused(node: SshNode) -> None:
    done = await node.run("no-such", options=["-s"])
    assert done.code == 1
    assert "no subsystem" in done.err


async def test_a_client_that_vanishes_takes_all_of_its_command_with_it(node: SshNode) -> None:
    async with node.running("sh -c 'trap \"\" HUP; echo $$; sleep 1000; :' & sleep 1000") as ssh:
        pid = int(await ssh.until(b"\n"))
    await eventually(lambda: not lives(pid))
    assert (await node.admin.end_of_a_session()).outcome == "connection_lost"


FLOOD = "trap '' HUP PIPE; echo $$; while :; do echo x; done"


@pytest.mark.parametrize("end", ["revoked", "vanished"])
async def test_a_flood_that_ignores_every_hint_ends_with_its_connection(node: SshNode, end: str) -> None:
    async def flood() -> None:
        async with node.running(FLOOD) as ssh:
            pid = int(await ssh.until(b"\n"))
            reading = asyncio.create_task(ssh.read_all())
            await eventually(lambda: len(ssh.text) > 100_000)
            if end == "revoked":
                node.server.end([CREDENTIAL])
            else:
                await ssh.kill()
            await eventually(lambda: not lives(pid), what="the end of the flood")
            await reading
        await node.admin.end_of_a_session()

    for _ in range(3):  # it is a matter of where the connection was just then
        await flood()


async def test_closing_one_of_several_channels_ends_only_its_program(node: SshNode) -> None:
    control = ["-o", f"ControlPath={node.directory}/mux"]
    async with node.running("cat", options=[*control, "-M"]) as master:
        await master.type(b"here\n")
        await master.until(b"here\n")
        async with node.running("echo $$; exec sleep 1000", options=control) as ssh:
            pid = int(await ssh.until(b"\n"))
        await eventually(lambda: not lives(pid))
        await master.type(b"still here\n")
        await master.until(b"still here\n")


async def test_what_was_done_is_reported(node: SshNode) -> None:
    await node.run("cat", stdin=b"four")
    (started,), ended = node.admin.started, await node.admin.end_of_a_session()
    assert started.session_id == ended.session_id
    assert (started.user, started.method, started.origin.address) == (USER, "publickey", "127.0.0.1")
    assert started.local_account == pwd.getpwuid(os.geteuid()).pw_name
    assert started.fingerprint.startswith("SHA256:")
    assert (ended.outcome, list(ended.deeds.programs), ended.has_recording) == ("closed", ["exec cat"], False)
    assert (ended.deeds.bytes_received, ended.deeds.bytes_sent) == (4, 4)


@pytest.mark.root
async def test_an_account_without_a_login_shell_gets_what_that_shell_says(node: SshNode) -> None:
    node.admin.local_account = "nobody"
    for command in ("id", "-s sftp"):
        done = await node.run(*command.split()[-1:], options=command.split()[:-1])
        assert done.code == 1
        assert b"not available" in done.out


async def test_an_account_that_does_not_exist_is_named_and_the_session_ends(node: SshNode) -> None:
    node.admin.local_account = "no-such-account"
    done = await node.run("id")
    assert done.code == 1
    assert "no account no-such-account" in done.err
    ended = await node.admin.end_of_a_session()
    assert ended.outcome == "account_refused"
    assert (await node.run("-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:localhost:1")).code != 0


def _account_with_a_shell() -> str:
    shells = Path("/etc/shells").read_text().split()
    others = [entry for entry in pwd.getpwall() if entry.pw_uid not in {0, os.geteuid()} and entry.pw_shell in shells]
    return others[0].pw_name if others else ""


@pytest.mark.root
async def test_root_logs_in_as_the_account_that_the_admin_names(node: SshNode) -> None:
    name = _account_with_a_shell()
    if not name:
        pytest.skip("this machine has no other account with a login shell")
    account = pwd.getpwnam(name)
    node.admin.local_account = name
    for options in ([], ["-tt"]):
        done = await node.run("id -u; id -g; id -G; echo $HOME; touch /proc/1/comm", options=options)
        uid, gid, groups, home = done.text.replace("\r", "").splitlines()[:4]
        assert (int(uid), int(gid), home) == (account.pw_uid, account.pw_gid, account.pw_dir)
        assert sorted(map(int, groups.split())) == sorted(set(os.getgrouplist(name, account.pw_gid)))
        assert done.code != 0, "it has no rights of root left"
    assert {started.local_account for started in node.admin.started} == {name}


@pytest.mark.root
def test_an_agent_that_is_not_root_is_its_own_account_only() -> None:
    code = (
        "import os\n"
        "from edge_agent.ssh.local_account import find_local_account\n"
        "os.setgroups([]), os.setgid(65534), os.setuid(65534)\n"
        "for name in ('', 'nobody', 'root', 'no-such-account'):\n"
        "    local = find_local_account(name)\n"
        "    print(local.account.uid if local.account else local.refusal, local.to_change_to)\n"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).splitlines() == [
        "65534 None",
        "65534 None",
        "the agent of this node is not root and runs nothing as root None",
        "this node has no account no-such-account None",
    ]
