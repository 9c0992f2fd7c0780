"""What a tunnel of this node ends on: a connection that it dialled, its own SSH server, or a recording."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from edge_wire.errors import SshRecordingNotFound, SshUnsupported
from edge_wire.sockets import SocketStream
from edge_wire.streams import CHUNK, UNLIMITED, ByteStream, Flow, relay
from edge_wire.v1 import ssh_pb2
from edge_wire.v1 import tunnel_pb2 as pb


class SshServer(Protocol):
    """What tunnels need of the SSH server."""

    async def serve(self, stream: ByteStream, origin: ssh_pb2.SshOrigin) -> None: ...

    def recording(self, session_id: str) -> Path | None: ...


class FarEnd(Protocol):
    """The end of a tunnel on this node."""

    @property
    def peer(self) -> str:
        """What the tunnel is connected to, `address:port` where it has one."""
        ...

    async def join(self, near: ByteStream) -> None:
        """Carry bytes until it is over. Raises EdgeError when it broke."""
        ...

    def close(self) -> None:
        """Let go of it, however it ended."""
        ...


class Dialled:
    """A connection to a target."""

    def __init__(self, far: SocketStream) -> None:
        self._far = far
        self.peer = far.peer

    async def join(self, near: ByteStream) -> None:
        await relay(near, self._far, limits=UNLIMITED, flow=Flow())

    def close(self) -> None:
        self._far.abort()


class SshConnection:
    """The node's SSH server, in this process."""

    peer = "ssh"

    def __init__(self, server: SshServer | None, request: pb.TunnelRequest) -> None:
        if server is None:
            raise SshUnsupported("SSH is switched off on the node", hint="SSH_SERVER=on there switches it on")
        self._server = server
        self._origin = ssh_pb2.SshOrigin(
            principal=request.caller.principal, address=request.caller.address, tunnel_id=request.tunnel_id
        )

    async def join(self, near: ByteStream) -> None:
        await self._server.serve(near, self._origin)

    def close(self) -> None:
        """It ended with the stream."""


class Recording:
    """The recording of a session, as it is at this moment."""

    peer = "recording"

    def __init__(self, server: SshServer | None, session_id: str) -> None:
        path = server.recording(session_id) if server is not None else None
        if path is None:
            raise SshRecordingNotFound
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise SshRecordingNotFound(f"the recording cannot be read ({error.strerror})") from None

    async def join(self, near: ByteStream) -> None:
        while data := await asyncio.to_thread(self._file.read, CHUNK):
            await near.write(data)
        await near.close_write()
        while await near.read():  # until the other side has ended its direction too
            pass

    def close(self) -> None:
        self._file.close()
