"""A connection that is over leaves nothing to the garbage collector, whose search costs more than the connection."""

from __future__ import annotations

import asyncio
import gc
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from edge_agent.proxies import Proxies, ProxySettings
from edge_wire.egress import EgressPolicy
from edge_wire.egress_rules import parse_rule
from edge_wire.listener import ListenAddress
from tests.bench.relays.ways import Step, Way, socks5
from tests.support.eventually import eventually
from tests.support.proxy_clients import ESTABLISHED
from tests.support.services import a_service, echo

PASSWORD = "a-password-of-the-agent"
LOOPBACK = ListenAddress(host="127.0.0.1", port=0)
CONNECTIONS = 20


class Site:
    """An agent's proxies, and a target."""

    def __init__(self, proxies: Proxies, target: int) -> None:
        self.proxies = proxies
        self.target = target

    def by_socks5(self) -> Way:
        assert self.proxies.socks5 is not None
        return Way(port=self.proxies.socks5.port, steps=socks5(self.target, user="_", password=PASSWORD))

    def by_http(self) -> Way:
        assert self.proxies.http is not None
        login = b64encode(f"_:{PASSWORD}".encode()).decode()
        head = f"CONNECT 127.0.0.1:{self.target} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic {login}\r\n\r\n"
        step = Step(say=head.encode().hex(), hear=ESTABLISHED.hex(), size=len(ESTABLISHED))
        return Way(port=self.proxies.http.port, steps=[step])


def converse(way: Way) -> None:
    """One byte each way, by a socket that blocks: what a client would leave behind is none of this."""
    with way.connect() as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"


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
    way = site.by_socks5() if kind == "socks5" else site.by_http()
    tasks = len(asyncio.all_tasks())

    async def go(connections: int) -> None:
        for _ in range(connections):
            await asyncio.to_thread(converse, way)
        await eventually(lambda: len(asyncio.all_tasks()) == tasks, what="the end of all connections")

    await go(2)  # what is only made once is there
    gc.collect()
    await go(CONNECTIONS)
    assert gc.collect() < CONNECTIONS
