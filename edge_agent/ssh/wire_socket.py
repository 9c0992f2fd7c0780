"""A connection as paramiko reads and writes it: fewer system calls, no delayed acknowledgements, closed without races.

paramiko asks for each packet's header, body and checksum by themselves; here one system call brings what there is.
"""

from __future__ import annotations

import contextlib
import select
import socket
from time import monotonic

_READ = 64 * 1024
_SEND_BUFFER = 512 * 1024


class WireSocket:
    """What a transport takes for its socket. One thread reads; several write, under the transport's lock."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = bytearray(_READ)
        self._begin = self._end = 0
        """Bounds of what has been read and not been asked for."""
        self._is_tcp = connection.family != socket.AF_UNIX
        self._closed = False  # by this name paramiko asks for it
        self.heard_at = monotonic()
        """When the client last sent something, on the monotonic clock."""
        if self._is_tcp:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _watch_the_other_end(connection)
        else:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    def recv(self, size: int) -> bytes:
        """At most `size` bytes, b"" at the end. Raises TimeoutError, OSError."""
        if self._begin == self._end:
            self._begin, self._end = 0, self._socket.recv_into(self._buffer)
            self.heard_at = monotonic()
            if self._is_tcp:
                # The kernel delays acknowledgements again after each read, and a client behind Nagle waits for them.
                with contextlib.suppress(OSError):
                    self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        end = min(self._end, self._begin + size)
        data = bytes(memoryview(self._buffer)[self._begin : end])
        self._begin = end
        return data

    def has_more(self, milliseconds: int) -> bool:
        """Whether something is there to be read, or comes within this time. Raises OSError."""
        if self._begin != self._end:
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(milliseconds))

    def send(self, data: bytes | memoryview) -> int:
        """Send some of it. Raises TimeoutError, OSError."""
        return self._socket.send(data)

    def settimeout(self, seconds: float) -> None:
        """How long a read or a write waits."""
        self._socket.settimeout(seconds)

    def getpeername(self) -> object:
        """As of a socket."""
        return self._socket.getpeername()

    def close(self) -> None:
        """End both directions; wakes whoever reads or writes. The descriptor stays taken until `release`: another
        connection could get its number while a thread still uses it."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Give the descriptor back; no thread uses it any more."""
        self._closed = True
        self._socket.close()


def _watch_the_other_end(connection: socket.socket) -> None:
    """A machine that vanished is noticed within two minutes; a client that is merely suspended is not ended, because
    its kernel answers. No TCP_USER_TIMEOUT: it ends suspended ones that have not taken all that was sent."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
