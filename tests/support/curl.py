"""The real curl, and what a web server says to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from edge_wire.sockets import SocketStream


@dataclass(frozen=True, kw_only=True)
class Curled:
    """How a call of curl ended."""

    code: int
    body: str
    said: str
    """What curl tells of it, the proxy's answers included."""


async def curl(*words: str) -> Curled:
    """Call it; -v, so that what a proxy answers can be seen."""
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "-v", "--max-time", "20", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    return Curled(code=process.returncode or 0, body=out.decode(), said=err.decode())


async def web(stream: SocketStream) -> None:
    """Answers one request with its first line."""
    request = b""
    while b"\r\n\r\n" not in request:
        data = await stream.read()
        if not data:
            return
        request += data
    line = request.split(b"\r\n")[0]
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(line)
    await stream.write(head + line)
    await stream.close_write()
