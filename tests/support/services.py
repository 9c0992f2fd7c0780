"""Services that tests reach: ports of 127.0.0.1."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from edge_wire.listener import ListenAddress, Listener
from edge_wire.sockets import SocketStream
from edge_wire.streams import CHUNK, ByteStream


@asynccontextmanager
async def a_service(serve: Callable[[SocketStream], Awaitable[None]]) -> AsyncIterator[int]:
    """A port on which every connection is served so."""
    listener = Listener(serve)
    place = await listener.open(ListenAddress(host="127.0.0.1", port=0))
    try:
        yield place.port
    finally:
        await listener.stop()


async def everything(stream: ByteStream) -> bytes:
    """What a stream gives until its end."""
    parts = []
    while data := await stream.read():
        assert len(data) <= CHUNK
        parts.append(data)
    return b"".join(parts)


async def silence(stream: SocketStream) -> None:
    """Hears everything and says nothing."""
    await everything(stream)


async def echo(stream: SocketStream) -> None:
    """Says what it hears, and ends when it is told the end."""
    while data := await stream.read():
        await stream.write(data)
    await stream.close_write()
