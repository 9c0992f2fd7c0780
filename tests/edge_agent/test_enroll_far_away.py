"""An agent that is far away from its admin: every byte takes its time, as over a satellite or a busy mobile network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from edge_agent.status import collect_status
from edge_wire import credentials
from tests.support.eventually import eventually
from tests.support.harness import Installation

ONE_WAY_SECONDS = 0.15


@dataclass
class LongWire:
    """Carries connections to a port; each byte arrives so much later."""

    port: int
    delay: float
    _carrying: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        for source, target in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._carry(source, target))
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)

    async def stop(self) -> None:
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await source.read(64 * 1024):
                loop.call_later(self.delay, target.write, data)
        except ConnectionError:
            pass
        finally:
            loop.call_later(self.delay, target.close)


@asynccontextmanager
async def far_away(site: Installation, delay: float) -> AsyncIterator[str]:
    """The admin's address at the other end of a long wire."""
    wire = LongWire(site.admin.address.port, delay)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await wire.stop()


def at(key: str, url: str) -> str:
    """The same enrollment key with another address."""
    secret = credentials.decode_enrollment(key)
    del secret.admin_urls[:]
    secret.admin_urls.append(url)
    return credentials.encode_enrollment(secret)


async def test_an_agent_on_a_slow_network_enrolls(site: Installation) -> None:
    key = await site.enrollment_key()
    async with far_away(site, ONE_WAY_SECONDS) as url:
        await site.start_agent_without_wait("edge01", enrollment_key=at(key, url), node_alias="edge01")
        await eventually(lambda: _is_a_node(site), within=8.0, what="a node")


async def test_an_agent_on_a_slow_network_has_a_session(bare: Installation) -> None:
    await bare.start_admin()
    await bare.add_agent("edge01")
    await bare.agents.pop("edge01").stop()
    async with far_away(bare, ONE_WAY_SECONDS) as url:
        port = bare.admin.address.port
        await bare.stop_admin()
        await bare.start_admin(grpc_listen=f"127.0.0.1:{port}", admin_urls=[url, f"https://127.0.0.1:{port}"])
        _forget_other_addresses(bare, url)
        await bare.start_agent_without_wait("edge01")
        session = await eventually(lambda: _connected(bare), within=8.0, what="a session")
        assert session["admin_url"] == url


async def _is_a_node(site: Installation) -> bool:
    return [node.name for node in await site.nodes()] == ["edge01"]


def _connected(site: Installation) -> dict[str, str]:
    session: dict[str, str] = collect_status(site.directory / "edge01")["session"]
    return session if session.get("state") == "connected" else {}


def _forget_other_addresses(site: Installation, url: str) -> None:
    path = site.directory / "edge01" / "identity.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, "admin_urls": [url]}))
