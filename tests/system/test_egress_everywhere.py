"""What an attacker would have a node dial, by every way that leads there: all of it is refused by its policy."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

import pytest

from edge_wire.connecting import connect
from edge_wire.errors import EdgeError
from edge_wire.listener import ListenAddress
from edge_wire.targets import Target
from edgectl.tunnelling.opening import open_tunnel
from tests.support.egress_corpus import ATTEMPTS, MALFORMED
from tests.support.harness import MASTER_KEY, Installation
from tests.system.test_proxy import a_proxy
from tests.system.test_tunnel import WITHIN

PASSWORD = "a-password-of-the-agent"
LOOPBACK = ListenAddress(host="127.0.0.1", port=0)
AT_ONCE = 16

Ask = Callable[[str, int], Awaitable[str]]
"""Asks for a host and a port; what came of it: an error code, or what the protocol says instead."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a way cannot even say."""

    longest: int
    is_line: bool = False
    """A name is a part of a line of text."""


IN_A_HEAD = Limits(longest=1000, is_line=True)
IN_SOCKS5 = Limits(longest=255)

REFUSALS = {"target_denied", "target_invalid", "HTTP 403", "HTTP 400", "SOCKS 1", "SOCKS 2"}
"""What was dialled would be refused by the target, time out, or open."""


@pytest.fixture
async def site_with_proxies(site: Installation) -> Installation:
    await site.add_agent("edge01", http_proxy_listen=LOOPBACK, socks5_proxy_listen=LOOPBACK, proxy_password=PASSWORD)
    return site


def spelled(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


async def ask_http(proxy: int, login: str, host: str, port: int) -> str:
    """By CONNECT."""
    stream = await connect(ip_address("127.0.0.1"), proxy, WITHIN)
    credentials = base64.b64encode(login.encode()).decode()
    head = f"CONNECT {spelled(host, port)} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic {credentials}\r\n\r\n"
    try:
        await stream.write(head.encode("utf-8", "surrogatepass"))
        answer = await stream.read()
        return f"HTTP {answer.split()[1].decode()}" if answer else "nothing"
    finally:
        stream.abort()


async def ask_socks5(proxy: int, login: str, host: str, port: int) -> str:
    """By a domain name, as clients do that leave resolving to the proxy."""
    user, _, password = login.partition(":")
    name = host.encode("utf-8", "surrogatepass")[:255]
    stream = await connect(ip_address("127.0.0.1"), proxy, WITHIN)
    try:
        await stream.write(b"\x05\x01\x02")
        assert await stream.read() == b"\x05\x02"
        await stream.write(b"\x01" + bytes([len(user)]) + user.encode() + bytes([len(password)]) + password.encode())
        assert await stream.read() == b"\x01\x00"
        await stream.write(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big"))
        answer = await stream.read()
        return f"SOCKS {answer[1]}" if answer else "nothing"
    finally:
        stream.abort()


async def ask_all(ask: Ask, asked: Sequence[tuple[str, int]]) -> dict[tuple[str, int], str]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(host: str, port: int) -> tuple[tuple[str, int], str]:
        async with gate:
            return (host, port), await ask(host, port)

    return dict(await asyncio.gather(*(one(host, port) for host, port in asked)))


def passed(answers: dict[tuple[str, int], str]) -> dict[tuple[str, int], str]:
    return {asked: answer for asked, answer in answers.items() if answer not in REFUSALS}


def attempts() -> list[tuple[str, int]]:
    """Without what is only denied to a node with other addresses than this one."""
    return [(item.host, item.port) for item in ATTEMPTS if item.reason.value != "own_address"]


def malformed(limits: Limits) -> list[tuple[str, int]]:
    """What can be said at all by a way."""
    hosts = [host for host in MALFORMED if host and len(host) <= limits.longest and "\ud800" not in host]
    breaks = set(" \t\r\n\0\x1b\x7f") if limits.is_line else set()
    return [(host, 80) for host in hosts if not set(host) & breaks]


@asynccontextmanager
async def tunnel(site: Installation) -> AsyncIterator[Ask]:
    async with site.operator() as admin:

        async def ask(host: str, port: int) -> str:
            try:
                async with open_tunnel(admin, "edge01", Target(host=host, port=port, address=None)):
                    return "opened"
            except EdgeError as error:
                return error.code

        yield ask


@asynccontextmanager
async def admins_http_proxy(site: Installation) -> AsyncIterator[Ask]:
    assert site.admin.proxies.http is not None
    yield partial(ask_http, site.admin.proxies.http.address.port, f"edge01:{MASTER_KEY}")


@asynccontextmanager
async def admins_socks5_proxy(site: Installation) -> AsyncIterator[Ask]:
    assert site.admin.proxies.socks5 is not None
    yield partial(ask_socks5, site.admin.proxies.socks5.address.port, f"edge01:{MASTER_KEY}")


@asynccontextmanager
async def agents_http_proxy(site: Installation) -> AsyncIterator[Ask]:
    proxies = site.agents["edge01"].proxies
    assert proxies is not None
    assert proxies.http is not None
    yield partial(ask_http, proxies.http.port, f"_:{PASSWORD}")


@asynccontextmanager
async def agents_socks5_proxy(site: Installation) -> AsyncIterator[Ask]:
    proxies = site.agents["edge01"].proxies
    assert proxies is not None
    assert proxies.socks5 is not None
    yield partial(ask_socks5, proxies.socks5.port, f"_:{PASSWORD}")


@asynccontextmanager
async def edgectl_proxy(
    site: Installation, *, ask: Callable[[int, str, str, int], Awaitable[str]], words: Sequence[str] = ()
) -> AsyncIterator[Ask]:
    _, listen = await a_proxy(site, "--via", "edge01", *words)
    yield partial(ask, int(listen.rpartition(":")[2]), "_:x")


WAYS: dict[str, tuple[Callable[[Installation], AbstractAsyncContextManager[Ask]], Limits]] = {
    "tunnel": (tunnel, Limits(longest=1000)),
    "the admin's HTTP proxy": (admins_http_proxy, IN_A_HEAD),
    "the admin's SOCKS5 proxy": (admins_socks5_proxy, IN_SOCKS5),
    "the agent's HTTP proxy": (agents_http_proxy, IN_A_HEAD),
    "the agent's SOCKS5 proxy": (agents_socks5_proxy, IN_SOCKS5),
    "edgectl proxy, by HTTP": (partial(edgectl_proxy, ask=ask_http), IN_A_HEAD),
    "edgectl proxy, by SOCKS5": (partial(edgectl_proxy, ask=ask_socks5), IN_SOCKS5),
    "edgectl proxy --direct": (partial(edgectl_proxy, ask=ask_socks5, words=["--direct"]), IN_SOCKS5),
}


@pytest.mark.parametrize("name", WAYS)
async def test_whatever_the_way_nothing_of_it_is_dialled(site_with_proxies: Installation, name: str) -> None:
    way, limits = WAYS[name]
    async with way(site_with_proxies) as ask:
        assert passed(await ask_all(ask, attempts() + malformed(limits))) == {}
