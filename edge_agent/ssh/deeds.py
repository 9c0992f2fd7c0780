"""What was done in a session, bounded, for its report. Used from several threads."""

from __future__ import annotations

import threading

from edge_wire.names import printable
from edge_wire.v1 import ssh_pb2 as pb

_LIST_LIMIT = 100
_TEXT_LIMIT = 1024
"""Bytes."""


class Deeds:
    """The programs, the forwardings and the bytes of one session."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deeds = pb.SshDeeds()

    def add_program(self, kind: str, command: bytes = b"") -> None:
        """`shell`, `exec COMMAND` or `subsystem NAME` was started."""
        with self._lock:
            if len(self._deeds.programs) < _LIST_LIMIT:
                self._deeds.programs.append(_text(kind.encode() + (b" " + command if command else b"")))
            else:
                self._deeds.is_cut = True

    def add_forwarding(self, kind: str, place: str = "") -> None:
        """`local HOST:PORT`, `remote ADDRESS:PORT` or `agent`; each once."""
        text = _text(f"{kind} {place}".strip().encode())
        with self._lock:
            if text in self._deeds.forwardings:
                return
            if len(self._deeds.forwardings) < _LIST_LIMIT:
                self._deeds.forwardings.append(text)
            else:
                self._deeds.is_cut = True

    def count(self, *, received: int = 0, sent: int = 0) -> None:
        """Bytes from the client, and to it."""
        with self._lock:
            self._deeds.bytes_received += received
            self._deeds.bytes_sent += sent

    def copy(self) -> pb.SshDeeds:
        """All of it so far."""
        with self._lock:
            copy = pb.SshDeeds()
            copy.CopyFrom(self._deeds)
            return copy


def _text(raw: bytes) -> str:
    """One safe line. What is made visible is longer than before, so it is cut twice."""
    text = printable(raw[:_TEXT_LIMIT].decode("utf-8", "replace"), _TEXT_LIMIT)
    return text.encode()[:_TEXT_LIMIT].decode("utf-8", "ignore")
