"""SSH connections of our own to nodes, for what no ssh program does: paramiko over our tunnels.

paramiko blocks, so its connections are used in threads, while the loop carries their bytes.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import socket
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import paramiko

from edge_wire.errors import AdminUntrusted, EdgeError, StreamBroken, Unauthenticated
from edge_wire.sockets import PlainStream
from edge_wire.streams import relay
from edge_wire.v1 import ssh_pb2
from edgectl.connect import Admin
from edgectl.ssh.doorway import SSH_SERVER
from edgectl.ssh.logins import KeyPair, admit, new_key_pair
from edgectl.tunnelling.opening import open_tunnel

log = logging.getLogger(__name__)

_LOGIN_WITHIN = 60.0
_WINDOW = 4 * 1024 * 1024
_NO_REKEY = 2**40


class Transports:
    """Opens connections to nodes for threads, by way of the loop on which the admin is."""

    def __init__(self, admin: Admin, loop: asyncio.AbstractEventLoop) -> None:
        self._admin = admin
        self._loop = loop
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # its tracebacks explain nothing to operators

    @contextmanager
    def __call__(self, node: str, user: str) -> Iterator[paramiko.Transport]:
        """An authenticated connection for the time of the block; called in a thread. Raises EdgeError."""
        key = new_key_pair()
        admitted = self._wait(admit(self._admin, node, user, key))
        ours, theirs = socket.socketpair()
        carrying = asyncio.run_coroutine_threadsafe(self._carry(admitted.host.node_id, theirs), self._loop)
        transport = paramiko.Transport(ours, default_window_size=_WINDOW)
        try:
            _log_in(transport, admitted, key)
            yield transport
        except paramiko.SSHException as error:
            if carrying.done() and isinstance(carrying.exception(), EdgeError):
                carrying.result()
            raise StreamBroken(f"the SSH connection to {admitted.host.node_name} broke ({error})") from None
        finally:
            transport.close()
            ours.close()
            carrying.cancel()

    def _wait(self, work: Coroutine[Any, Any, ssh_pb2.AdmitSshResponse]) -> ssh_pb2.AdmitSshResponse:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _carry(self, node_id: str, end: socket.socket) -> None:
        end.setblocking(False)
        near = PlainStream(end, None)
        try:
            async with open_tunnel(self._admin, node_id, SSH_SERVER) as opened:
                await relay(near, opened.stream, limits=opened.limits, flow=opened.flow)
        finally:
            near.abort()


def _log_in(transport: paramiko.Transport, admitted: ssh_pb2.AdmitSshResponse, key: KeyPair) -> None:
    """Raises EdgeError for a host that is another one, and when the login is refused."""
    transport.packetizer.REKEY_BYTES = _NO_REKEY
    known = [line.split() for line in admitted.host.host_keys]
    kinds = [kind for kind, *_ in known]
    options = transport.get_security_options()
    options.key_types = [kind for kind in options.key_types if kind in kinds]
    transport.start_client(timeout=_LOGIN_WITHIN)
    shown = transport.get_remote_server_key()
    if [shown.get_name(), base64.b64encode(shown.asbytes()).decode()] not in known:
        raise AdminUntrusted(f"{admitted.host.node_name} shows another host key than the one that the admin knows")
    try:
        transport.auth_publickey(admitted.user, paramiko.Ed25519Key(file_obj=StringIO(key.private.decode())))
    except paramiko.AuthenticationException:
        raise Unauthenticated(f"{admitted.host.node_name} refuses the login of {admitted.user}") from None
