"""The client's own SSH agent on the node (`ssh -A`): a socket that only the login's account reaches."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass

from edge_agent.runner.account import Account
from edge_agent.ssh.forwarding import Forwarding
from edge_agent.ssh.transport import Transport
from edge_wire.listener import Listener
from edge_wire.sockets import SocketStream

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

    def __init__(self, *, transport: Transport, forwarding: Forwarding) -> None:
        self._transport = transport
        self._forwarding = forwarding
        self._place: _Place | None = None
        self._listener = Listener(self._serve, limit=_LIMIT)

    @property
    def path(self) -> str:
        """Where programs find it; empty when there is none."""
        return os.path.join(self._place.path, _NAME) if self._place is not None else ""

    async def open(self, account: Account) -> None:
        """Make the socket, once. Raises OSError."""
        if self._place is not None:
            return
        self._place = _new_place()
        self._listener.open_file(self.path)
        if account.uid != os.geteuid():
            os.chown(_NAME, account.uid, account.gid, dir_fd=self._place.descriptor, follow_symlinks=False)
            os.fchown(self._place.descriptor, account.uid, account.gid)

    async def stop(self) -> None:
        """Remove it."""
        await self._listener.stop()
        if self._place is not None:
            with contextlib.suppress(OSError):
                os.unlink(_NAME, dir_fd=self._place.descriptor)
            os.close(self._place.descriptor)
            with contextlib.suppress(OSError):  # its owner may have done so, or put something into it
                os.rmdir(self._place.path)
        self._place = None

    async def _serve(self, stream: SocketStream) -> None:
        await self._forwarding.join(
            lambda: self._transport.open_channel("auth-agent@openssh.com", timeout=_OPEN_SECONDS), stream
        )


def _new_place() -> _Place:
    path = tempfile.mkdtemp(prefix="edge-ssh-")
    return _Place(path=path, descriptor=os.open(path, os.O_DIRECTORY | os.O_RDONLY | os.O_CLOEXEC))
