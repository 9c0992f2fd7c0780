"""The client's own SSH agent on the node (`ssh -A`): a socket that only the login's account reaches."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.runner.account import Account
from edge_agent.ssh.forwarding import Forwarding
from edge_agent.ssh.transport import Transport
from edge_wire.sockets import SocketStream
from edge_wire.tasks import OwnedTasks

_NAME = "agent"
_OPEN_SECONDS = 15.0
_LIMIT = 16
"""Connections at once."""


@dataclass(frozen=True, kw_only=True)
class _Place:
    path: str
    descriptor: int
    """Of the directory, which may be renamed by its owner."""


class AgentForwarding:
    """The socket of one connection. On the event loop."""

    def __init__(self, *, transport: Transport, forwarding: Forwarding, tasks: OwnedTasks) -> None:
        self._transport = transport
        self._forwarding = forwarding
        self._tasks = tasks
        self._open = 0
        self._place: _Place | None = None
        self._server: asyncio.Server | None = None

    @property
    def path(self) -> str:
        """Where programs find it; empty when there is none."""
        return os.path.join(self._place.path, _NAME) if self._place is not None else ""

    async def open(self, account: Account) -> None:
        """Make the socket, once. Raises OSError."""
        if self._place is not None:
            return
        self._place = _new_place()
        self._server = await asyncio.get_running_loop().create_unix_server(
            lambda: _Accepted(self._accept), self.path, backlog=_LIMIT
        )
        if account.uid != os.geteuid():
            os.chown(_NAME, account.uid, account.gid, dir_fd=self._place.descriptor, follow_symlinks=False)
            os.fchown(self._place.descriptor, account.uid, account.gid)

    def stop(self) -> None:
        """Remove it."""
        if self._server is not None:
            self._server.close()
        if self._place is not None:
            with contextlib.suppress(OSError):
                os.unlink(_NAME, dir_fd=self._place.descriptor)
            os.close(self._place.descriptor)
            with contextlib.suppress(OSError):  # its owner may have done so, or put something into it
                os.rmdir(self._place.path)
        self._server = self._place = None

    def _accept(self, stream: SocketStream) -> None:
        if self._open >= _LIMIT:
            stream.abort()
            return
        self._open += 1
        self._tasks.spawn(self._serve(stream))

    async def _serve(self, stream: SocketStream) -> None:
        try:
            await self._forwarding.join(
                lambda: self._transport.open_channel("auth-agent@openssh.com", timeout=_OPEN_SECONDS), stream
            )
        finally:
            self._open -= 1


class _Accepted(SocketStream):
    def __init__(self, accept: Callable[[SocketStream], None]) -> None:
        super().__init__()
        self._accept = accept

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._accept(self)


def _new_place() -> _Place:
    path = tempfile.mkdtemp(prefix="edge-ssh-")
    return _Place(path=path, descriptor=os.open(path, os.O_DIRECTORY | os.O_RDONLY | os.O_CLOEXEC))
