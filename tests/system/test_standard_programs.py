"""The programs that people use, through the admin to services that listen only where a node is.

The services are in the node's network namespace, on its loopback, and on a machine that only the node reaches, under a
name that only the node knows. Nothing there can be reached, or resolved, from where the programs run.
"""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.far_services import installed, listening, serve_pages, serve_ssh
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
    proxy: str
    """`address:port` of an `edgectl proxy` by which the LAN is reached."""


SELF = f"http://{DNS_NAME}:8080/words"
EXIT = f"http://{PRINTER}/words"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def far(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Far]:
    directory = tmp_path_factory.mktemp("far")
    words = secrets.token_hex(8)
    async with far_site(directory) as site:
        pages = directory / "pages"
        pages.mkdir()
        (pages / "words").write_text(words)
        (pages / "index.html").write_text(PAGE)
        (pages / "part.js").write_text(f'document.write("{words} " + location.host)')
        await serve_pages(site.node, "127.0.0.1", 8080, pages)
        requests = await serve_pages(site.lan, site.lan.address, 80, pages)
        program = await site.start_edgectl(
            "proxy", "--rule", f"*.oslo.lan={NODE}", "-o", "jsonl", "--listen", "127.0.0.1:0", log="proxy.log"
        )
        (directory / "ssh").mkdir()
        yield Far(
            site=site,
            words=words,
            requests=requests,
            ssh_key=await serve_ssh(site.node, directory / "ssh"),
            proxy=await listen_address(program),
        )


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
    program = installed("proxychains4", "proxychains4")
    local = far.proxy.replace(":", " ")
    proxy = {
        "socks5 of the admin": f"socks5 {far.site.socks5_proxy.replace(':', ' ')} {user} {PROXY_KEY}",
        "socks5 of edgectl": f"socks5 {local}",
        "http of edgectl": f"http {local}",
    }[way]
    config = tmp_path / "proxychains.conf"
    config.write_text(f"strict_chain\nproxy_dns\n[ProxyList]\n{proxy}\n")
    done = await far.site.run(program, "-q", "-f", str(config), "curl", "-sS", "--max-time", "30", url)
    assert (done.code, done.text) == (0, far.words), done.err


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
