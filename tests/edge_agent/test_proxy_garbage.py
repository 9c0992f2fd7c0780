"""A connection that is over leaves nothing to the garbage collector, whose search costs more than the connection."""

from __future__ import annotations

import asyncio
import gc
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from edge_agent.proxies import Proxies, ProxySettings
from edge_wire.egress import EgressPolicy
from edge_wire.egress_rules import parse_rule
from edge_wire.listener import ListenAddress
from tests.support.eventually import eventually
from tests.support.services import a_service, echo

PASSWORD = "a-password-of-the-agent"
LOOPBACK = ListenAddress(host="127.0.0.1", port=0)
CONNECTIONS = 20


class Site:
    """An agent's proxies, and a target."""

    def __init__(self, proxies: Proxies, target: int) -> None:
        self.proxies = proxies
        self.target = target

    def by_socks5(self) -> None:
        assert self.proxies.socks5 is not None
        place = b"\x01" + socket.inet_aton("127.0.0.1") + self.target.to_bytes(2, "big")
        login = b"\x01\x01_" + bytes([len(PASSWORD)]) + PASSWORD.encode()
        converse(self.proxies.socks5.port, (b"\x05\x01\x02", 2), (login, 2), (b"\x05\x01\x00" + place, 10), (b"x", 1))

    def by_http(self) -> None:
        assert self.proxies.http is not None
        login = b64encode(f"_:{PASSWORD}".encode()).decode()
        head = f"CONNECT 127.0.0.1:{self.target} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic {login}\r\n\r\n"
        answer = b"HTTP/1.1 200 Connection established\r\n\r\n"
        converse(self.proxies.http.port, (head.encode(), len(answer)), (b"x", 1))


def converse(port: int, *steps: tuple[bytes, int]) -> None:
    """Say and hear, by a socket that blocks: what a client would leave behind is none of this."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        for said, size in steps:
            client.sendall(said)
            heard = b""
            while len(heard) < size:
                heard += client.recv(size - len(heard)) or pytest.fail(f"it ended behind {heard!r}")
        assert heard == b"x"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with a_service(echo) as target:
        proxies = Proxies(
            settings=ProxySettings(http=LOOPBACK, socks5=LOOPBACK, password=PASSWORD),
            data_dir=tmp_path,
            policy=EgressPolicy(allow=[parse_rule("127.0.0.1")]),
            is_own_name=lambda _host: False,
            note=lambda _facts: None,
        )
        await proxies.start()
        yield Site(proxies, target)
        await proxies.stop()


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("kind", ["socks5", "http"])
@pytest.mark.usefixtures("no_collector")
async def test_connections_leave_no_cycles_of_objects(site: Site, kind: str) -> None:
    by = site.by_socks5 if kind == "socks5" else site.by_http
    tasks = len(asyncio.all_tasks())

    async def go(connections: int) -> None:
        for _ in range(connections):
            await asyncio.to_thread(by)
        await eventually(lambda: len(asyncio.all_tasks()) == tasks, what="the end of all connections")

    await go(2)  # what is only made once is there
    gc.collect()
    await go(CONNECTIONS)
    assert gc.collect() < CONNECTIONS
