"""Clients of proxy ports in memory: the ports, and what a client needs to talk to one."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from edge_wire.proxies.serving import serve_any, serve_http, serve_socks5
from tests.support.byte_streams import MemoryStream, stream_pair
from tests.support.proxy_gates import Dialled, MemoryGate

PATIENT = timedelta(seconds=30)
IMPATIENT = timedelta(milliseconds=50)

Port = Callable[[MemoryStream, MemoryGate, timedelta], Coroutine[Any, Any, None]]


def http_port(stream: MemoryStream, gate: MemoryGate, timeout: timedelta) -> Coroutine[Any, Any, None]:
    return serve_http(stream, gate, pseudonym="edge-test", handshake_timeout=timeout)


def socks5_port(stream: MemoryStream, gate: MemoryGate, timeout: timedelta) -> Coroutine[Any, Any, None]:
    return serve_socks5(stream, gate, handshake_timeout=timeout)


def any_port(stream: MemoryStream, gate: MemoryGate, timeout: timedelta) -> Coroutine[Any, Any, None]:
    return serve_any(stream, gate, pseudonym="edge-test", handshake_timeout=timeout)


@asynccontextmanager
async def served(port: Port, gate: MemoryGate, timeout: timedelta = PATIENT) -> AsyncIterator[MemoryStream]:
    """A client of the port, which in the end must have ended by itself, whatever the client did, and left nothing."""
    before = asyncio.all_tasks()
    client, accepted = stream_pair()
    serving = asyncio.create_task(port(accepted, gate, timeout))
    try:
        yield client
        if not client.is_aborted:
            await client.close_write()
        async with asyncio.timeout(10):
            await serving
        assert asyncio.all_tasks() <= before
        assert accepted.has_ended_writing or accepted.is_aborted
    finally:
        serving.cancel()
        accepted.abort()
        await asyncio.gather(serving, return_exceptions=True)


async def answers_to(port: Port, gate: MemoryGate, *chunks: bytes, timeout: timedelta = PATIENT) -> bytes:
    """All that a client gets that sends this and ends."""
    async with served(port, gate, timeout) as client:
        for chunk in chunks:
            await client.write(chunk)
        await client.close_write()
        return await client.read_all()


async def dialled(gate: MemoryGate) -> Dialled:
    """The next target that was asked for."""
    async with asyncio.timeout(10):
        return await gate.dialled.get()


def basic(user: str, password: str) -> bytes:
    """The header with these credentials."""
    return b"Proxy-Authorization: Basic " + b64encode(f"{user}:{password}".encode()) + b"\r\n"


def head_of(answer: bytes) -> tuple[int, dict[bytes, bytes]]:
    """Status and headers, names in lower case."""
    head, _, _ = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    names_and_values = [line.partition(b": ") for line in lines]
    return int(status.split()[1]), {name.lower(): value for name, _, value in names_and_values}


# what clients say and hear

SOCKS_GREETING = b"\5\1\2"
SOCKS_LOGIN = b"\1\5gw-01\6secret"
SOCKS_REQUEST = b"\5\1\0\3\x0bprinter.lan\x23\x8c"
SOCKS_SUCCESS = b"\5\0\0\1\x0a\0\0\5\0\x50"
SOCKS4_REQUEST = b"\4\1\x23\x8c\0\0\0\1gw-01\0printer.lan\0"
CONNECT = b"CONNECT printer.lan:9100 HTTP/1.1\r\nHost: printer.lan:9100\r\n%s\r\n"
CONNECT_OPEN = CONNECT % b""
CONNECT_GW = CONNECT % basic("gw-01", "secret")
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

GET = b"GET http://printer.lan/a?b=c HTTP/1.1\r\nHost: printer.lan\r\n%s\r\n"
GET_AT_ORIGIN = b"GET /a?b=c HTTP/1.1\r\nHost: printer.lan\r\nVia: 1.1 edge-test\r\n\r\n"
POST = b"POST http://printer.lan/ HTTP/1.1\r\nHost: printer.lan\r\n%s\r\n"
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
HELLO_PASSED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nVia: 1.1 edge-test\r\n\r\nhello"
NO_BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def asked(request: bytes, gate: MemoryGate | None = None) -> AsyncIterator[tuple[MemoryStream, Dialled]]:
    """A client that sent a request, and the origin that was dialled for it."""
    gate = gate or MemoryGate()
    async with served(http_port, gate) as client:
        await client.write(request)
        origin = await dialled(gate)
        yield client, origin
        await origin.stream.close_write()


async def response_to(request: bytes, response: bytes) -> bytes:
    """What a client gets for this request when the origin answers so and ends."""
    async with asked(request) as (client, origin):
        await origin.stream.read_until(b"\r\n\r\n")
        await origin.stream.write(response)
        await origin.stream.close_write()
        head = await client.read_until(b"\r\n\r\n")
        length = head_of(head)[1].get(b"content-length")
        return head + (await client.read_all() if length is None else await client.read_exactly(int(length)))
