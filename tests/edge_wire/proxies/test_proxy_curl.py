"""The real curl through a proxy port on a real socket, to a real web server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from edge_wire.connecting import connect
from edge_wire.errors import TargetNotResolved, Unauthenticated
from edge_wire.proxies.serving import serve_any
from edge_wire.sockets import SocketStream
from edge_wire.streams import Flow, Opened, RelayLimits
from edge_wire.targets import Target
from tests.support.curl import Curled, curl
from tests.support.services import a_service
from tests.support.web_server import a_web_server

LOOPBACK = ip_address("127.0.0.1")
WITHIN = timedelta(seconds=5)
NAMES = {"one.lan": LOOPBACK, "two.lan": LOOPBACK, "127.0.0.1": LOOPBACK}


class LoopbackGate:
    """Knows two names, both of which are this machine, and one user."""

    needs_password = True

    def __init__(self) -> None:
        self.opened: list[str] = []

    async def admit(self, user: str, password: str) -> str:
        if (user, password) not in {("gw-01", "secret"), ("gw-01", "")}:
            raise Unauthenticated
        return user

    @asynccontextmanager
    async def open(self, route: str, target: Target) -> AsyncIterator[Opened]:
        if target.host not in NAMES:
            raise TargetNotResolved
        stream = await connect(NAMES[target.host], target.port, WITHIN)
        self.opened.append(target.host)
        try:
            yield Opened(stream=stream, peer=stream.peer, limits=RelayLimits(), flow=Flow())
        finally:
            stream.abort()


@pytest.fixture
def web() -> Iterator[int]:
    with a_web_server() as port:
        yield port


@pytest.fixture
def gate() -> LoopbackGate:
    return LoopbackGate()


@pytest.fixture
async def port(gate: LoopbackGate) -> AsyncIterator[int]:
    """The port of a proxy that speaks everything."""

    async def serve(stream: SocketStream) -> None:
        await serve_any(stream, gate, pseudonym="edge-test", handshake_timeout=WITHIN)

    async with a_service(serve) as port:
        yield port


def through(port: int, scheme: str = "http", user: str = "gw-01:secret") -> list[str]:
    return ["--proxy", f"{scheme}://{user}@127.0.0.1:{port}"]


@pytest.mark.parametrize("scheme", ["http", "socks5h", "socks5", "socks4a"])
async def test_a_page_over_every_protocol(web: int, port: int, scheme: str) -> None:
    user = "gw-01:" if scheme == "socks4a" else "gw-01:secret"
    host = "127.0.0.1" if scheme == "socks5" else "one.lan"
    via = "1.1 edge-test" if scheme == "http" else "None"
    page = await curl(*through(port, scheme, user), f"http://{host}:{web}/a?b=c&d=%20")
    assert page.body == f"/a?b=c&d=%20 at {host} via {via}\n"


async def test_a_page_through_a_tunnel_of_http(web: int, port: int) -> None:
    page = await curl(*through(port), "--proxytunnel", f"http://one.lan:{web}/")
    assert page.body == "/ at one.lan via None\n"


async def test_curl_finds_out_by_itself_what_login_is_wanted(web: int, port: int) -> None:
    page = await curl(*through(port), "--proxy-anyauth", f"http://one.lan:{web}/")
    assert page.body == "/ at one.lan via 1.1 edge-test\n"
    assert count_connections(page) == 1


async def test_curl_asks_for_two_origins_on_one_connection(web: int, port: int, gate: LoopbackGate) -> None:
    urls = [f"http://{name}.lan:{web}/{at}" for name in ("one", "two") for at in "12"]
    pages = await curl(*through(port), *urls)
    assert pages.body.splitlines() == [
        "/1 at one.lan via 1.1 edge-test",
        "/2 at one.lan via 1.1 edge-test",
        "/1 at two.lan via 1.1 edge-test",
        "/2 at two.lan via 1.1 edge-test",
    ]
    assert count_connections(pages) == 1
    assert gate.opened == ["one.lan", "two.lan"]


@pytest.mark.parametrize("how", [[], ["--header", "Expect: 100-continue"], ["--header", "Transfer-Encoding: chunked"]])
@pytest.mark.parametrize("tunnel", [[], ["--proxytunnel"]])
async def test_curl_sends_megabytes(web: int, port: int, tmp_path: Path, how: list[str], tunnel: list[str]) -> None:
    file = tmp_path / "body"
    file.write_bytes(bytes(3_000_000))
    answer = await curl(*through(port), *tunnel, *how, "--data-binary", f"@{file}", f"http://one.lan:{web}/")
    assert answer.body == "3000000 bytes\n"


async def test_curl_is_told_what_is_wrong(web: int, port: int) -> None:
    wrong = await curl(*through(port, user="gw-01:wrong"), f"http://one.lan:{web}/")
    assert "The credential is missing, wrong, revoked or expired" in wrong.body
    unknown = await curl(*through(port), "http://three.lan/")
    assert unknown.body == "The node cannot resolve the target's name\n"
    in_tunnel = await curl(*through(port), "--proxytunnel", "http://three.lan/")
    assert "response 502" in in_tunnel.said
    over_socks = await curl(*through(port, "socks5h"), "http://three.lan/")
    assert over_socks.code == 97
    assert "(4)" in over_socks.said


async def test_a_big_upload_that_is_refused_at_once_still_learns_why(port: int, tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(bytes(500_000))
    answer = await curl(
        *through(port),
        "--header",
        "Expect:",
        "--data-binary",
        f"@{file}",
        "http://three.lan/",
        "--write-out",
        "%{http_code}",
    )
    assert answer.body == "The node cannot resolve the target's name\n502"


def count_connections(page: Curled) -> int:
    return page.said.count("Connected to 127.0.0.1")
