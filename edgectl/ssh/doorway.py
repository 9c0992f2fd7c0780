"""A Unix socket of ours behind which a node's SSH server is: what ssh is given instead of an address.

ssh starts a ProxyCommand that connects to it and hands the connection over (ProxyUseFdpass), so that no second program
of ours starts, and none copies bytes.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from edge_wire.errors import EdgeError
from edge_wire.listener import Listener
from edge_wire.sockets import SocketStream
from edge_wire.streams import relay
from edge_wire.targets import SSH_PORT, Target
from edgectl.connect import Admin
from edgectl.output import error_line, note
from edgectl.ssh.own_command import for_ssh
from edgectl.tunnelling.opening import open_tunnel

SSH_SERVER = Target(host="", port=SSH_PORT, address=None)
"""The embedded SSH server of a node."""

_LEAVE_WITHIN = timedelta(seconds=2)

_CONNECT = """import array, socket, sys
door = socket.socket(socket.AF_UNIX)
door.connect(sys.argv[1])
socket.socket(fileno=1).sendmsg([b"0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [door.fileno()]))])
"""


@asynccontextmanager
async def doorway(admin: Admin, node: str, directory: Path) -> AsyncIterator[str]:
    """The ProxyCommand that leads through it, for the time of the block."""
    place = directory / "door"

    async def carry(near: SocketStream) -> None:
        try:
            async with open_tunnel(admin, node, SSH_SERVER) as opened:
                await relay(near, opened.stream, limits=opened.limits, flow=opened.flow)
        except EdgeError as error:
            note(error_line(error))
            raise

    listener = Listener(carry)
    listener.open_file(str(place))
    script = directory / "connect.py"
    script.write_text(_CONNECT)
    words = [sys.executable, "-I", "-S", str(script), str(place)]
    try:
        yield for_ssh(words)
    finally:
        await listener.finish(_LEAVE_WITHIN)  # ssh has left: the node should hear that it did, and not that we broke
