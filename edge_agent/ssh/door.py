"""The listening port of the SSH server. It gives plain sockets, which paramiko reads in threads."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

from edge_wire.errors import Denied, InvalidValue, PortInUse
from edge_wire.listener import ListenAddress
from edge_wire.names import host_and_port

log = logging.getLogger(__name__)

_BACKLOG = 512
_AT_ONCE = 64
"""Connections taken before the loop does something else."""
_PAUSE_SECONDS = 0.5
"""When the machine has no descriptor left."""


class Door:
    """One listening port. On the event loop."""

    def __init__(self, accepted: Callable[[socket.socket, str], None]) -> None:
        self._accepted = accepted
        self._socket: socket.socket | None = None

    def open(self, address: ListenAddress) -> ListenAddress:
        """Listen; returns where. Raises PortInUse, Denied, InvalidValue."""
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        place = host_and_port(address.host, address.port)
        try:
            listening = socket.create_server((address.host, address.port), family=family, backlog=_BACKLOG)
        except PermissionError:
            raise Denied(f"this user may not listen on {place}", hint="take a port from 1024 up") from None
        except socket.gaierror:
            raise InvalidValue(f"{place} is no address of this machine") from None
        except OSError:
            raise PortInUse(
                f"cannot listen on {place}: the port is in use or the address is not this machine's",
                hint="take another port; 0 takes a free one",
            ) from None
        listening.setblocking(False)
        self._socket = listening
        asyncio.get_running_loop().add_reader(listening, self._take)
        return ListenAddress(host=address.host, port=listening.getsockname()[1])

    def close(self) -> None:
        """Take no more."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _take(self) -> None:
        for _ in range(_AT_ONCE):
            if self._socket is None:
                return
            try:
                connection, peer = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:
                self._pause(error)
                return
            self._accepted(connection, str(peer[0]))

    def _pause(self, error: OSError) -> None:
        if self._socket is None or error.errno not in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
            return
        log.warning("SSH connections wait: %s", error.strerror)
        loop, listening = asyncio.get_running_loop(), self._socket
        loop.remove_reader(listening)

        def go_on() -> None:
            if self._socket is listening:
                loop.add_reader(listening, self._take)

        loop.call_later(_PAUSE_SECONDS, go_on)
