"""A Unix socket of ours behind which a node's SSH server is: what ssh is given instead of an address.

ssh starts a ProxyCommand that connects to it and hands the connection over (ProxyUseFdpass), so that no second program
of ours starts, and none copies bytes.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from edge_wire.errors import EdgeError
from edge_wire.sockets import SocketStream
from edge_wire.streams import relay
from edge_wire.targets import SSH_PORT, Target
from edge_wire.tasks import OwnedTasks
from edgectl.connect import Admin
from edgectl.output import error_line, note
from edgectl.tunnelling.opening import open_tunnel

log = logging.getLogger(__name__)

SSH_SERVER = Target(host="", port=SSH_PORT, address=None)
"""The embedded SSH server of a node."""

_LEAVE_WITHIN = 2.0

_CONNECT = """import array, socket, sys
door = socket.socket(socket.AF_UNIX)
door.connect(sys.argv[1])
socket.socket(fileno=1).sendmsg([b"0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [door.fileno()]))])
"""


@asynccontextmanager
async def doorway(admin: Admin, node: str, directory: Path) -> AsyncIterator[str]:
    """The ProxyCommand that leads through it, for the time of the block."""
    tasks = OwnedTasks(log, "a connection to the node failed")
    place = directory / "door"

    async def carry(near: SocketStream) -> None:
        try:
            async with open_tunnel(admin, node, SSH_SERVER) as opened:
                await relay(near, opened.stream, limits=opened.limits, flow=opened.flow)
        except EdgeError as error:
            near.abort(error)
            note(error_line(error))

    class Door(SocketStream):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            tasks.spawn(carry(self))

    server = await asyncio.get_running_loop().create_unix_server(Door, str(place))
    script = directory / "connect.py"
    script.write_text(_CONNECT)
    words = [sys.executable, "-I", "-S", str(script), str(place)]
    try:
        yield " ".join(shlex.quote(word) for word in words).replace("%", "%%")
    finally:
        server.close()
        with suppress(TimeoutError):  # ssh has left: the node should hear that it did, and not that we broke
            await asyncio.wait_for(tasks.finish(), _LEAVE_WITHIN)
        await tasks.stop()
