"""A bare grpc.aio fan-out of the same frames over TLS, in as many processes as a fleet of the same size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_wire.channel import open_channel
from edgectl.connect import Admin
from tests.bench.options import hosts_for
from tests.bench.processes import Helper, start_limit, within
from tests.support.postgres import free_port


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The floor with all its nodes connected, as a client sees it."""

    admin: Admin
    admin_pid: int
    host_pids: Sequence[int]
    nodes: int


@asynccontextmanager
async def running(nodes: int, scratch: Path) -> AsyncIterator[Floor]:
    """Start it, and stop it afterwards."""
    directory = scratch / f"bare{len(list(scratch.glob('bare*')))}"
    directory.mkdir()
    config = {"port": free_port(), "ca_path": str(directory / "ca.der")}
    log = directory / "log"
    helpers: list[Helper] = []
    try:
        server = await Helper.start("tests.bench.bare_admin", config, log)
        helpers.append(server)
        await server.hear()
        count = hosts_for(nodes)
        for number in range(count):
            share = nodes * (number + 1) // count - nodes * number // count
            helpers.append(await Helper.start("tests.bench.bare_agents", {**config, "count": share}, log))
        await asyncio.gather(*(helper.hear() for helper in helpers[1:]))
        await within(start_limit(nodes), _connected(server, nodes), "the bare nodes connect")
        channel = open_channel(f"https://127.0.0.1:{config['port']}", [(directory / "ca.der").read_bytes()])
        pids = [helper.pid for helper in helpers]
        yield Floor(admin=Admin(channel, "no token"), admin_pid=pids[0], host_pids=pids[1:], nodes=nodes)
        await channel.close()
    finally:
        await asyncio.gather(*(helper.stop() for helper in reversed(helpers)))


async def _connected(server: Helper, nodes: int) -> None:
    while (await server.ask("connected"))["connected"] < nodes:
        await asyncio.sleep(0.05)
