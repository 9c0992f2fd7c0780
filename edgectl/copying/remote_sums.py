"""Checksums by programs of a node, where its SFTP server computes none: one shell for all files of a copy."""

from __future__ import annotations

import shlex

import paramiko

from edge_wire.errors import CopyUnchecked
from edgectl.copying.entries import shown

_TAKE = 4096
_LONGEST_ANSWER = 64 * 1024


class RemoteSums:
    """A shell on the node that is asked line by line; begun with the first question.

    A login's start-up files may take a second: with a shell for each file a directory of a thousand would take long.
    """

    def __init__(self, transport: paramiko.Transport) -> None:
        self._transport = transport
        self._channel: paramiko.Channel | None = None
        self._asked = 0

    def digest(self, path: bytes, length: int, *, patience: float) -> bytes:
        """SHA-256 of the first bytes of a file. Raises CopyUnchecked.

        The path is quoted and becomes a program's stdin, so that no odd name changes what is asked or printed. A line
        of ours ends the answer, whether there is a sum before it or not; what start-up files print comes before that.
        """
        quoted = shlex.quote(path.decode("latin-1")).encode("latin-1")
        try:
            channel = self._started(patience)
            channel.settimeout(patience)
            self._asked += 1
            end = b"end-of-%d\n" % self._asked
            channel.sendall(b"head -c %d < %s | sha256sum; echo %s" % (length, quoted, end))
            return bytes.fromhex(_answer(channel, end).splitlines()[-1].split()[0].decode("ascii"))
        except (OSError, EOFError, paramiko.SSHException, ValueError, IndexError) as error:
            raise CopyUnchecked(f"{shown(path)}: the node can compute no checksum") from error

    def close(self) -> None:
        """End the shell."""
        if self._channel is not None:
            self._channel.close()

    def _started(self, patience: float) -> paramiko.Channel:
        if self._channel is None:
            self._channel = self._transport.open_session(timeout=patience)
            self._channel.exec_command("exec sh")
        return self._channel


def _answer(channel: paramiko.Channel, end: bytes) -> bytes:
    came = b""
    while not came.endswith(end):
        more = channel.recv(_TAKE)
        if not more or len(came) > _LONGEST_ANSWER:
            raise EOFError
        came += more
    return came.removesuffix(end)
