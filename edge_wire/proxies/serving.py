"""Serves one connection of a proxy port: HTTP, SOCKS5, or any of HTTP, SOCKS5 and SOCKS4 by its first byte.

What a client does wrong is answered in its protocol and raises nothing; an exception that is no EdgeError propagates.
The client's stream is ended in an orderly way; the caller aborts what is left of it. Dialling is the gate's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

from edge_wire.proxies import socks4, socks5
from edge_wire.proxies.client import ProxyClient
from edge_wire.proxies.gate import ProxyGate, RouteT
from edge_wire.proxies.http_answers import Answer
from edge_wire.proxies.http_port import HttpPort
from edge_wire.proxies.socks_port import SocksPort
from edge_wire.streams import ByteStream


async def serve_http(
    stream: ByteStream, gate: ProxyGate[RouteT], *, pseudonym: str, handshake_timeout: timedelta
) -> None:
    """Serve an HTTP proxy's client until it leaves; `pseudonym` is what this proxy calls itself in `Via`."""
    async with ProxyClient(stream, handshake_timeout) as client:
        await HttpPort(client, gate, pseudonym=pseudonym).serve()


async def serve_socks5(stream: ByteStream, gate: ProxyGate[RouteT], *, handshake_timeout: timedelta) -> None:
    """Serve a SOCKS5 client and its one tunnel."""
    async with ProxyClient(stream, handshake_timeout) as client:
        await SocksPort(client, gate).serve_socks5()


async def serve_any(
    stream: ByteStream,
    gate: ProxyGate[RouteT],
    *,
    pseudonym: str,
    handshake_timeout: timedelta,
    pages: Mapping[str, Answer] = MappingProxyType({}),
) -> None:
    """Serve a client of any of these protocols; `pages` are what it may ask of the port itself, by path."""
    async with ProxyClient(stream, handshake_timeout) as client:
        first = await client.read()
        if first.startswith(bytes([socks5.VERSION])):
            await SocksPort(client, gate).serve_socks5(first)
        elif first.startswith(bytes([socks4.VERSION])):
            await SocksPort(client, gate).serve_socks4(first)
        elif first:
            await HttpPort(client, gate, pseudonym=pseudonym, pages=pages).serve(first)
