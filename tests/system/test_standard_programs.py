"""The programs that people use, through the admin to services that listen only where a node is.

The services are in the node's network namespace, on its loopback, and on a machine that only the node reaches, under a
name that only the node knows. Nothing there can be reached, or resolved, from where the programs run.
"""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.far_services import installed, listening, serve_git, serve_pages, serve_postgres, serve_ssh
from tests.support.far_site import DNS_NAME, NODE, PRINTER, PROXY_KEY, FarSite, far_site
from tests.support.local_ports import listen_address
from tests.support.programs import Finished, module_argv

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

PAGE = """<!DOCTYPE html><html><body><script src="part.js"></script></body></html>"""


@dataclass(frozen=True, kw_only=True)
class Far:
    """The site, and what serves there."""

    site: FarSite
    words: str
    """What the pages say."""
    requests: Path
    """The log of the web server in the LAN."""
    ssh_key: Path
    database: str
    """The URL of a database, as it is good on the node."""
    proxy: str
    """`address:port` of an `edgectl proxy` by which the LAN is reached."""


SELF = f"http://{DNS_NAME}:8080/words"
EXIT = f"http://{PRINTER}/words"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def far(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Far]:
    directory = tmp_path_factory.mktemp("far")
    words = secrets.token_hex(8)
    pages, keys = directory / "pages", directory / "keys"
    write_pages(pages, words)
    keys.mkdir()
    async with far_site(directory) as site, serve_postgres(site.node) as database:
        await serve_pages(site.node, "127.0.0.1", 8080, pages)
        await serve_git(site.lan, pages)
        options = ["--rule", f"*.oslo.lan:80={NODE}", "--listen", "127.0.0.1:0", "-o", "jsonl"]
        yield Far(
            site=site,
            words=words,
            requests=await serve_pages(site.lan, site.lan.address, 80, pages),
            ssh_key=await serve_ssh(site.node, keys),
            database=database,
            proxy=await listen_address(await site.start_edgectl("proxy", *options, log="proxy.log")),
        )


def write_pages(pages: Path, words: str) -> None:
    """A page, one that a script completes, and a repository."""
    pages.mkdir()
    (pages / "words").write_text(words)
    (pages / "index.html").write_text(PAGE)
    (pages / "part.js").write_text(f'document.write("{words} at " + location.host)')
    repository = pages / "far.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", repository], check=True)
    hook = repository / "hooks" / "post-update"
    hook.write_text("#!/bin/sh\nexec git update-server-info\n")  # for clones over plain HTTP
    hook.chmod(0o755)


async def curl(far: Far, *words: str) -> Finished:
    return await far.site.run("curl", "-sS", "-v", "--max-time", "30", *words)


@pytest.mark.parametrize(("url", "code"), [(SELF, 6), (EXIT, 6), ("http://10.78.0.2/words", 7)])
async def test_nothing_of_it_is_reached_without_a_proxy(far: Far, url: str, code: int) -> None:
    done = await curl(far, url)
    assert (done.code, done.text) == (code, ""), done.err


async def test_the_node_opens_no_port_to_anybody(far: Far) -> None:
    places = listening(far.site.node)
    assert {place.rpartition(":")[0] for place in places} == {"127.0.0.1"}, places


@pytest.mark.parametrize("way", ["absolute", "connect", "socks5"])
@pytest.mark.parametrize(("user", "url"), [("_", SELF), (NODE, EXIT)])
async def test_curl_by_the_admins_proxies(far: Far, way: str, user: str, url: str) -> None:
    site = far.site
    http = ["--proxy", f"https://{site.http_proxy}", "--proxy-cacert", str(site.ca)]
    proxy = {
        "absolute": http,
        "connect": [*http, "--proxytunnel"],
        "socks5": ["--proxy", f"socks5h://{site.socks5_proxy}"],
    }
    done = await curl(far, *proxy[way], "--proxy-user", f"{user}:{PROXY_KEY}", url)
    assert (done.code, done.text) == (0, far.words), done.err


@pytest.mark.parametrize("way", ["http", "connect", "socks4a", "socks5h"])
@pytest.mark.parametrize("url", [SELF, EXIT])
async def test_curl_by_edgectl_proxy(far: Far, way: str, url: str) -> None:
    words = (
        ["--proxytunnel", "--proxy", f"http://{far.proxy}"] if way == "connect" else ["--proxy", f"{way}://{far.proxy}"]
    )
    done = await curl(far, *words, url)
    assert (done.code, done.text) == (0, far.words), done.err


async def test_the_node_is_who_dials(far: Far) -> None:
    await curl(far, "--proxy", f"http://{far.proxy}", EXIT)
    requests = [line for line in far.requests.read_text().splitlines() if "GET" in line]
    assert {line.split()[0] for line in requests} == {"10.78.0.1"}


@pytest.mark.parametrize("way", ["socks5 of the admin", "socks5 of edgectl", "http of edgectl"])
@pytest.mark.parametrize(("user", "url"), [("_", SELF), (NODE, EXIT)])
async def test_proxychains(far: Far, tmp_path: Path, way: str, user: str, url: str) -> None:
    local = far.proxy.replace(":", " ")
    proxy = {
        "socks5 of the admin": admin_socks5(far, user),
        "socks5 of edgectl": f"socks5 {local}",
        "http of edgectl": f"http {local}",
    }[way]
    done = await far.site.run(*chained(proxy, tmp_path), "curl", "-sS", "--max-time", "30", url)
    assert (done.code, done.text) == (0, far.words), done.err


def admin_socks5(far: Far, user: str) -> str:
    """The admin's SOCKS5 proxy as proxychains4 writes it."""
    return f"socks5 {far.site.socks5_proxy.replace(':', ' ')} {user} {PROXY_KEY}"


def chained(proxy: str, directory: Path) -> list[str]:
    """What stands before a command line whose connections are to go through a proxy, names included."""
    program = installed("proxychains4", "proxychains4")
    config = directory / "proxychains.conf"
    config.write_text(f"strict_chain\nproxy_dns\n[ProxyList]\n{proxy}\n")
    return [program, "-q", "-f", str(config)]


async def ssh(far: Far, command: str, stdin: bytes = b"") -> Finished:
    """OpenSSH, with `edgectl tunnel --stdio` as its way to the node."""
    way = shlex.join(module_argv("edgectl", ["tunnel", "--stdio", NODE, "22"]))
    options = {
        "ProxyCommand": way,
        "IdentityFile": str(far.ssh_key),
        "UserKnownHostsFile": str(far.site.directory / "known_hosts"),
        "StrictHostKeyChecking": "accept-new",
        "BatchMode": "yes",
    }
    words = [word for item in options.items() for word in ("-o", "=".join(item))]
    return await far.site.run(
        installed("ssh", "openssh-client"), "-F", "none", *words, f"root@{NODE}", command, stdin=stdin
    )


async def test_ssh_by_proxy_command(far: Far) -> None:
    sent = os.urandom(300_000)
    done = await ssh(far, "cat; exit 7", stdin=sent)
    assert (done.code, done.out) == (7, sent), done.err
    done = await ssh(far, "readlink /proc/self/ns/net")
    assert done.text == far.site.node.run(["readlink", "/proc/self/ns/net"]), done.err


ROWS = 100_000


async def query(far: Far, where: str, sql: str, *, before: Sequence[str] = (), stdin: bytes = b"") -> str:
    """psql's answer from the node's database, reached at `host:port`."""
    program = installed("psql", "postgresql-client")
    url = far.database.replace("127.0.0.1:5432", where)
    done = await far.site.run(*before, program, url, "-X", "-A", "-t", "-q", "-c", sql, stdin=stdin)
    assert done.code == 0, done.err
    return done.text


async def test_psql_by_a_tunnel(far: Far) -> None:
    program = await far.site.start_edgectl("tunnel", NODE, "5432", "-o", "jsonl", log="tunnel.log")
    where = await listen_address(program)
    assert await query(far, where, "SELECT inet_server_addr(), inet_server_port()") == "127.0.0.1|5432\n"
    rows = "".join(f"{number}\n" for number in range(ROWS))
    await query(far, where, "CREATE TABLE numbers (number int)")
    await query(far, where, "COPY numbers FROM STDIN", stdin=rows.encode())
    assert await query(far, where, "SELECT number FROM numbers ORDER BY number") == rows


async def test_psql_by_proxychains(far: Far, tmp_path: Path) -> None:
    before = chained(admin_socks5(far, "_"), tmp_path)
    assert await query(far, f"{DNS_NAME}:5432", "SELECT inet_server_addr()", before=before) == "127.0.0.1\n"


async def git(far: Far, *words: str, **environ: str) -> None:
    identity = {"GIT_AUTHOR_NAME": "me", "GIT_AUTHOR_EMAIL": "me@x", "GIT_COMMITTER_NAME": "me"}
    environ = {**identity, "GIT_COMMITTER_EMAIL": "me@x", "GIT_TERMINAL_PROMPT": "0", **environ}
    done = await far.site.run("git", *words, environ=environ)
    assert done.code == 0, done.err


async def test_git_pushes_by_a_tunnel_and_clones_by_the_admins_proxy(far: Far, tmp_path: Path) -> None:
    command = tmp_path / "through-the-node"
    tunnel = shlex.join(module_argv("edgectl", ["tunnel", "--stdio", NODE]))
    command.write_text(f'#!/bin/sh\nexec {tunnel} "$1:$2"\n')  # git gives host and port
    command.chmod(0o755)
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    way = {"GIT_PROXY_COMMAND": str(command)}
    await git(far, "clone", "--quiet", f"git://{PRINTER}/far.git", str(mine), **way)
    (mine / "file").write_bytes(written := os.urandom(500_000))
    await git(far, "-C", str(mine), "add", "file")
    await git(far, "-C", str(mine), "commit", "--quiet", "--message=far")
    await git(far, "-C", str(mine), "push", "--quiet", "origin", "HEAD:main", **way)
    proxy = {
        "http.proxy": f"https://{NODE}:{PROXY_KEY}@{far.site.http_proxy}",
        "http.proxySSLCAInfo": str(far.site.ca),
        "http.proxyAuthMethod": "basic",
    }
    options = [word for item in proxy.items() for word in ("-c", "=".join(item))]
    await git(far, *options, "clone", "--quiet", f"http://{PRINTER}/far.git", str(theirs))
    assert (theirs / "file").read_bytes() == written


@pytest.mark.parametrize("way", ["--proxy-server=socks5", "--proxy-server=http", "--proxy-pac-url=http"])
@pytest.mark.parametrize("host", [f"{DNS_NAME}:8080", PRINTER])
async def test_a_browser(far: Far, tmp_path: Path, way: str, host: str) -> None:
    program = installed("chromium", "chromium")
    proxy = f"{way}://{far.proxy}{'/proxy.pac' if 'pac' in way else ''}"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    options += ["--disable-background-networking", f"--user-data-dir={tmp_path}", proxy]
    done = await far.site.run(program, *options, "--dump-dom", f"http://{host}/")
    assert f"{far.words} at {host}<" in done.text, done.text + done.err
