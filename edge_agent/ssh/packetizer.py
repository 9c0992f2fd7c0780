"""Packets of SSH: what a client makes us read is bounded, and data goes out with less copying."""

from __future__ import annotations

from typing import Any

import paramiko

CONNECTION_LOST = (OSError, EOFError, paramiko.SSHException)
"""What sending raises: on a closed channel, on a socket that was shut down, in a key exchange that does not end."""
_LIMIT_BEFORE_LOGIN = 256 * 1024
_LIMIT = 4 * 1024 * 1024
"""Larger than what any kernel takes as one command line, so that such a command is refused and nothing breaks."""
_LINE_LIMIT = 255
"""Bytes of a version, RFC 4253, section 4.2."""


class Packed(bytes):
    """A message that needs no more packing."""

    def asbytes(self) -> bytes:
        return self


class Packetizer(paramiko.packet.Packetizer):
    """Bounds what a client makes us read, and starts no thread for a time-out that its connection has anyway."""

    may_send_much = False
    is_ended_by_client = False
    """It closed its connection, in whatever state."""

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        if n > (_LIMIT if self.may_send_much else _LIMIT_BEFORE_LOGIN):
            raise paramiko.SSHException("a packet is too large")
        try:
            return super().read_all(n, check_rekey)
        except (EOFError, ConnectionError):
            self._note_end()
            raise

    def write_all(self, out: Any) -> None:
        try:
            super().write_all(out)
        except EOFError:
            self._note_end()
            raise

    def _note_end(self) -> None:
        self.is_ended_by_client = not self.closed

    def readline(self, timeout: float) -> str:
        """The client's version, which is the first thing that it says (RFC 4253, section 4.2)."""
        line = bytearray()
        while not line.endswith(b"\n"):
            line += self.read_all(1)
            if len(line) > _LINE_LIMIT or not b"SSH-".startswith(line[:4]):
                raise paramiko.SSHException("this is not the SSH protocol")
        return line.rstrip(b"\r\n").decode("utf-8", "replace")

    def start_handshake(self, timeout: float) -> None:
        """Its connection ends a client that says nothing."""
