"""Ten thousand connections that fail, in every way: none leaves a socket or a task behind."""

from __future__ import annotations

import asyncio
import base64
import gc
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from edge_wire.connecting import connect
from edge_wire.errors import EdgeError
from edge_wire.listener import ListenAddress
from tests.support.eventually import eventually
from tests.support.harness import MASTER_KEY, Installation
from tests.system.test_tunnel import WITHIN

PASSWORD = "a-password-of-the-agent"
LOOPBACK = ListenAddress(host="127.0.0.1", port=0)
AT_ONCE = 50
BY_AGENT = 9_000
BY_ADMIN = 1_000
WRONG_LOGINS = 25
"""Of each program: after thirty it would hear nobody from here."""


def basic(login: str) -> bytes:
    return base64.b64encode(login.encode())


def http_attempts(login: str) -> list[bytes]:
    """What is said to an HTTP proxy."""
    good = basic(login)
    return [
        b"CONNECT localhost:1 HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic %s\r\n\r\n" % good,
        b"CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic %s\r\n\r\n" % good,
        b"CONNECT node-edge01.cluster-default.nm.internal:1 HTTP/1.1\r\nHost: x\r\n"
        b"Proxy-Authorization: Basic %s\r\n\r\n" % good,
        b"GET http://localhost:1/ HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic %s\r\n\r\n" % good,
        b"CONNECT localhost:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT localhost:0 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT loc",
        b"\x16\x03\x01garbage",
        b"",
    ]


def socks5_attempts(login: str) -> list[bytes]:
    """What is said to a SOCKS5 proxy, all at once."""
    user, _, password = login.encode().partition(b":")
    hello = b"\x05\x01\x02\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password
    named = [(b"localhost", 1), (b"169.254.169.254", 80), (b"node-edge01.cluster-default.nm.internal", 1)]
    asked = [b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big") for name, port in named]
    return [
        *(hello + request for request in asked),
        hello + b"\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50",
        hello,
        b"\x05\x01\x00",
        b"\x05",
        b"\x04garbage",
        b"",
    ]


async def fail(port: int, said: bytes, number: int) -> None:
    """Say it, and leave: by a reset, by an end, or once there is an answer."""
    stream = await connect(ip_address("127.0.0.1"), port, WITHIN)
    try:
        if said:
            await stream.write(said)
        if number % 3 == 0:
            return
        await stream.close_write()
        while number % 3 == 1 and await stream.read():
            pass
    except EdgeError:
        pass
    finally:
        stream.abort()


async def fail_all(ports: list[tuple[int, list[bytes]]], count: int) -> None:
    attempts: Iterator[int] = iter(range(count))

    async def work() -> None:
        for number in attempts:
            port, kinds = ports[number % len(ports)]
            await fail(port, kinds[(number // len(ports)) % len(kinds)], number)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def open_sockets() -> int:
    """Not every descriptor: the database's threads open files when they are first needed."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # it was the listing's own
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    return count


@pytest.mark.slow
async def test_nothing_is_left_of_ten_thousand_connections_that_fail(site: Installation) -> None:
    agent = await site.add_agent(
        "edge01", http_proxy_listen=LOOPBACK, socks5_proxy_listen=LOOPBACK, proxy_password=PASSWORD
    )
    own, admins = agent.proxies, site.admin.proxies
    assert own is not None
    assert own.http is not None
    assert own.socks5 is not None
    assert admins.http is not None
    assert admins.socks5 is not None
    login, admin_login = f"_:{PASSWORD}", f"edge01:{MASTER_KEY}"
    of_agent = [(own.http.port, http_attempts(login)), (own.socks5.port, socks5_attempts(login))]
    of_admin = [
        (admins.http.address.port, http_attempts(admin_login)),
        (admins.socks5.address.port, socks5_attempts(admin_login)),
    ]
    await every_database_connection(site)
    await fail_all(of_agent, 100)  # whatever is made once
    await fail_all(of_admin, 100)
    await settled(site)
    sockets, tasks = open_sockets(), len(asyncio.all_tasks())
    for ports in (of_agent, of_admin):
        wrong = [(ports[0][0], [http_attempts("_:wrong")[0]]), (ports[1][0], [socks5_attempts("_:wrong")[0]])]
        await fail_all(wrong, WRONG_LOGINS)
    await fail_all(of_agent, BY_AGENT)
    await fail_all(of_admin, BY_ADMIN)
    await settled(site)
    await eventually(lambda: open_sockets() <= sockets, what=f"{sockets} sockets again")
    await eventually(lambda: len(asyncio.all_tasks()) <= tasks + 2, what=f"{tasks} tasks again")


async def every_database_connection(site: Installation) -> None:
    """Open all that the admin may have: with PostgreSQL they are sockets, too, and made when they are first needed."""
    count = site.admin._settings.db_pool_size
    together = threading.Barrier(count)

    def hold(tx: Session) -> None:
        tx.execute(text("SELECT 1"))
        together.wait(30)

    await asyncio.gather(*(site.admin.db.read(hold) for _ in range(count)))


async def settled(site: Installation) -> None:
    await eventually(lambda: len(site.admin._tunnels.census) == 0, within=30.0, what="no tunnel to be open")
    gc.collect()
