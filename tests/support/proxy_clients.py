"""Clients of proxy ports in memory: the ports, and what a client needs to talk to one."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from edge_wire.proxying import serve_any, serve_http, serve_socks5
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
        assert accepted.has_ended_writing or accepted.is_aborted
    finally:
        serving.cancel()
        accepted.abort()
        await asyncio.gather(serving, return_exceptions=True)
    assert asyncio.all_tasks() <= before


async def answers_to(port: Port, gate: MemoryGate, *chunks: bytes, timeout: timedelta = PATIENT) -> bytes:
    """All that a client gets that sends this and ends."""
    async with served(port, gate, timeout) as client:
        for chunk in chunks:
            await client.write(chunk)
        await client.close_write()
        return await client.read_all()


async def dialled(gate: MemoryGate) -> Dialled:
    async with asyncio.timeout(10):
        return await gate.dialled.get()


def basic(user: str, password: str) -> bytes:
    return b"Proxy-Authorization: Basic " + b64encode(f"{user}:{password}".encode()) + b"\r\n"


def head_of(answer: bytes) -> tuple[int, dict[bytes, bytes]]:
    head, _, _ = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    names_and_values = [line.partition(b": ") for line in lines]
    return int(status.split()[1]), {name.lower(): value for name, _, value in names_and_values}
