"""The programs that speak SSH, through the admin into a node that opens no port, in a network namespace of its own.

Plain `ssh` and whatever uses it reach the node by what `edgectl ssh-config` printed; nothing else was prepared.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.eventually import eventually
from tests.support.far_services import installed, listening, serve_pages, serve_ssh
from tests.support.far_site import DNS_NAME, NODE, PRINTER, FarSite, far_site
from tests.support.local_ports import free_port
from tests.support.programs import Finished, Program, module_argv

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

BIG = 5_000_000


@dataclass(frozen=True, kw_only=True)
class Far:
    """The site, and what ssh is told of it."""

    site: FarSite
    config: Path
    words: str
    """What a web page on the node's loopback, and one in its LAN, say."""
    sshd_key: Path
    """What opens an sshd that listens on the node's loopback."""

    async def ssh(self, *words: str, stdin: bytes = b"") -> Finished:
        """Plain ssh with the printed block."""
        return await self.site.run(installed("ssh", "openssh-client"), "-F", str(self.config), *words, stdin=stdin)

    async def run(self, program: str, package: str, *words: str, **environ: str) -> Finished:
        """Another program of the operator's."""
        return await self.site.run(installed(program, package), *words, environ=environ)

    async def start(self, *words: str, log: str) -> Program:
        """Plain ssh that stays."""
        program = installed("ssh", "openssh-client")
        return await self.site.start_command(program, "-F", str(self.config), *words, log=log)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def far(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Far]:
    directory = tmp_path_factory.mktemp("far")
    words = secrets.token_hex(8)
    pages = directory / "pages"
    pages.mkdir()
    (pages / "words").write_text(words)
    async with far_site(directory) as site:
        await serve_pages(site.node, "127.0.0.1", 8080, pages)
        await serve_pages(site.lan, site.lan.address, 80, pages)
        keys = directory / "keys"
        keys.mkdir()
        sshd_key = await serve_ssh(site.node, keys)
        config = directory / "ssh_config"
        config.write_text((await site.edgectl("ssh-config")).text)
        yield Far(site=site, config=config, words=words, sshd_key=sshd_key)


def node_namespace(far: Far) -> str:
    return far.site.node.run(["readlink", "/proc/self/ns/net"])


# --- edgectl ssh


async def test_edgectl_ssh_runs_a_command_on_the_node(far: Far) -> None:
    sent = os.urandom(300_000)
    done = await far.site.run(
        *module_argv("edgectl", ["ssh", NODE, "--", "cat; readlink /proc/self/ns/net >&2; exit 7"]), stdin=sent
    )
    assert (done.code, done.out, done.err) == (7, sent, node_namespace(far))


async def test_the_node_still_opens_no_port(far: Far) -> None:
    assert {place.rpartition(":")[0] for place in listening(far.site.node)} == {"127.0.0.1"}


async def test_edgectl_ssh_forwards_a_port(far: Far, tmp_path: Path) -> None:
    port = free_port()
    program = await far.site.start_edgectl("ssh", NODE, "-N", "-L", f"{port}:localhost:8080", log="forward.log")
    assert await page(far, f"http://127.0.0.1:{port}/words") == far.words
    await program.stop()


# --- plain ssh


async def test_plain_ssh_by_name(far: Far) -> None:
    for name in (NODE, DNS_NAME):
        done = await far.ssh(name, "readlink /proc/self/ns/net; exit 3")
        assert (done.code, done.text) == (3, node_namespace(far)), done.err


async def test_another_host_is_left_alone(far: Far) -> None:
    done = await far.ssh("-o", "ConnectTimeout=1", "-o", "BatchMode=yes", "no-such-host.invalid", "true")
    assert (done.code, "no-such-host.invalid" in done.err) == (255, True)


async def test_sftp(far: Far, tmp_path: Path) -> None:
    mine, theirs, back = tmp_path / "mine", tmp_path / "theirs", tmp_path / "back"
    mine.write_bytes(os.urandom(BIG))
    orders = f"put {mine} {theirs}\nrename {theirs} {theirs}2\nsymlink {theirs}2 {theirs}\nget {theirs} {back}\n"
    done = await far.site.run(
        *(installed("sftp", "openssh-client"), "-q", "-b", "-", "-F", str(far.config), NODE), stdin=orders.encode()
    )
    assert done.code == 0, done.err
    assert back.read_bytes() == mine.read_bytes()
    assert theirs.is_symlink()


@pytest.mark.parametrize("protocol", ["-s", "-O"])
async def test_scp_by_both_protocols(far: Far, tmp_path: Path, protocol: str) -> None:
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "file").write_bytes(content := os.urandom(BIG))
    scp = ("scp", "openssh-client", protocol, "-q", "-r", "-p", "-F", str(far.config))
    done = await far.run(*scp, str(tmp_path / "tree"), f"{NODE}:{tmp_path}/there")
    assert done.code == 0, done.err
    done = await far.run(*scp, f"{NODE}:{tmp_path}/there", str(tmp_path / "back"))
    assert done.code == 0, done.err
    assert (tmp_path / "back" / "deep" / "file").read_bytes() == content


async def test_rsync(far: Far, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(content := os.urandom(BIG))
    shell = f"ssh -F {shlex.quote(str(far.config))}"
    for source, destination in (
        (f"{tmp_path}/tree/", f"{NODE}:{tmp_path}/there"),
        (f"{NODE}:{tmp_path}/there/", "back"),
    ):
        target = destination if ":" in destination else f"{tmp_path}/{destination}"
        done = await far.run("rsync", "rsync", "-a", "-e", shell, source, target)
        assert done.code == 0, done.err
    assert (tmp_path / "back" / "file").read_bytes() == content


async def test_git_clones_and_pushes(far: Far, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "--bare", "--initial-branch=main", tmp_path / "far.git"], check=True)
    me = dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"), "me")
    environ = {**me, "GIT_SSH_COMMAND": f"ssh -F {shlex.quote(str(far.config))}"}
    mine = tmp_path / "mine"
    for words in (
        ["clone", "-q", f"ssh://{NODE}{tmp_path}/far.git", str(mine)],
        ["-C", str(mine), "commit", "-q", "--allow-empty", "-m", "far"],
        ["-C", str(mine), "push", "-q", "origin", "HEAD:main"],
        ["clone", "-q", f"{NODE}:{tmp_path}/far.git", str(tmp_path / "again")],
    ):
        done = await far.run("git", "git", *words, **environ)
        assert done.code == 0, done.err
    log = subprocess.run(["git", "-C", tmp_path / "again", "log", "--format=%s"], check=True, capture_output=True)
    assert log.stdout == b"far\n"


# --- forwardings


async def page(far: Far, url: str, *words: str) -> str:
    """What curl gets; it tries again until somebody listens."""

    async def got() -> str:
        done = await far.site.run("curl", "-sS", "--max-time", "10", *words, url)
        assert done.code == 0, done.err
        return done.text

    return await eventually(got, within=20.0, what=f"a page from {url}")


async def test_local_forwarding_to_the_node_and_to_its_lan(far: Far) -> None:
    here, there = free_port(), free_port()
    words = ("-N", "-L", f"{here}:localhost:8080", "-L", f"{there}:{PRINTER}:80", NODE)
    program = await far.start(*words, log="local.log")
    assert await page(far, f"http://127.0.0.1:{here}/words") == far.words
    assert await page(far, f"http://127.0.0.1:{there}/words") == far.words
    await program.kill()


async def test_dynamic_forwarding(far: Far) -> None:
    port = free_port()
    program = await far.start("-N", "-D", str(port), NODE, log="dynamic.log")
    assert await page(far, f"http://{PRINTER}/words", "--proxy", f"socks5h://127.0.0.1:{port}") == far.words
    await program.kill()


async def test_remote_forwarding(far: Far, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("from the operator")
    await serve_pages(far.site.operator, "127.0.0.1", 8081, tmp_path)
    program = await far.start("-N", "-R", "18081:127.0.0.1:8081", NODE, log="remote.log")

    def got() -> str:
        words = ["curl", "-sS", "--max-time", "5", "--retry", "0", "http://127.0.0.1:18081/words"]
        return far.site.node.run(["sh", "-c", f"{shlex.join(words)} || true"])

    assert await eventually(got, within=20.0, what="a page from the operator") == "from the operator"
    await program.kill()


async def test_standard_streams_forwarded(far: Far) -> None:
    request = f"GET /words HTTP/1.0\r\nHost: {PRINTER}\r\n\r\n"
    done = await far.ssh("-W", f"{PRINTER}:80", NODE, stdin=request.encode())
    assert (done.code, done.text.endswith(far.words)) == (0, True), done.err


async def test_what_the_node_must_not_reach_is_refused(far: Far) -> None:
    done = await far.ssh("-W", "169.254.169.254:80", NODE)
    assert (done.code, "administratively prohibited" in done.err) == (255, True), done.err


async def test_a_node_is_the_jump_host_for_another_server(far: Far) -> None:
    """An sshd that listens on the node's loopback only, reached by ProxyJump."""
    known = ("-o", f"UserKnownHostsFile={far.site.directory}/known", "-o", "StrictHostKeyChecking=accept-new")
    done = await far.ssh(*known, "-i", str(far.sshd_key), "-J", NODE, "root@127.0.0.1", "echo $SSH_CONNECTION")
    assert (done.code, done.text.split()[2:]) == (0, ["127.0.0.1", "22"]), done.err


async def test_a_shared_connection(far: Far, tmp_path: Path) -> None:
    share = ("-o", f"ControlPath={tmp_path}/c", "-o", "ControlPersist=60")
    first = await far.ssh(*share, "-o", "ControlMaster=auto", "-f", "-N", NODE)
    assert first.code == 0, first.err
    for number in range(3):
        done = await far.ssh(*share, NODE, f"echo {number}")
        assert (done.code, done.text) == (0, f"{number}\n"), done.err
    assert (await far.ssh(*share, "-O", "exit", NODE)).code == 0
    sessions = json.loads((await far.site.edgectl("ssh-session", "list", "-o", "json")).text)
    assert "exec echo 2" in sessions[0]["programs"]


async def test_ansible_pings_and_copies(far: Far, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(content := os.urandom(100_000))
    inventory = tmp_path / "hosts"
    inventory.write_text(f"{NODE} ansible_python_interpreter=/usr/bin/python3\n")
    environ = {
        "ANSIBLE_SSH_ARGS": f"-F {far.config}",
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
        "ANSIBLE_REMOTE_TEMP": str(tmp_path / "remote"),
        "ANSIBLE_LOCALHOST_WARNING": "False",
    }
    ansible = ("ansible", "ansible-core", "-i", str(inventory), "all")
    done = await far.run(*ansible, "-m", "ping", **environ)
    assert (done.code, '"pong"' in done.text) == (0, True), done.text + done.err
    done = await far.run(*ansible, "-m", "copy", "-a", f"src={tmp_path}/mine dest={tmp_path}/theirs", **environ)
    assert done.code == 0, done.text + done.err
    assert (tmp_path / "theirs").read_bytes() == content
