"""What agent and runner say to each other on their unix socket: a length, a JSON header, and raw bytes. Pure.

A message is 4 bytes of header length, 4 bytes of payload length (both big-endian), the header as UTF-8 JSON with at
least `type`, and the payload. Standard library only: the runner must outlive the agent that it came with.

Agent and runner may be of different versions. Within one number of PROTOCOLS there are only additions: a field that may
be left out, and something new that the runner says, which an agent that does not know it passes over. Whatever else
changes is a new number; a program drops an old one only when no agent can be updated from a program that had no newer.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

PROTOCOLS = (1,)
"""What this program speaks. The runner says it in its welcome; one that does not say it speaks 1."""
HEADER_LIMIT = 4 * 1024 * 1024
PAYLOAD_LIMIT = 1024 * 1024
_LENGTHS = struct.Struct(">II")


class ProtocolError(Exception):
    """The other side does not speak this protocol."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message; `fields` are the JSON header without its type."""

    type: str
    fields: dict[str, Any] = field(default_factory=dict)
    payload: bytes = b""


def agreed(theirs: Collection[int]) -> int | None:
    """The newest that both sides speak, None when there is none."""
    return max(set(PROTOCOLS) & set(theirs), default=None)


def encode(type_: str, payload: bytes = b"", **fields: Any) -> bytes:
    """One message as bytes."""
    header = json.dumps({"type": type_, **fields}, separators=(",", ":"), ensure_ascii=True).encode()
    return _LENGTHS.pack(len(header), len(payload)) + header + payload


class Decoder:
    """Bytes in, messages out, however they are cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Take bytes and return what is complete. Raises ProtocolError."""
        self._buffer += data
        found: list[Message] = []
        while (message := self._take()) is not None:
            found.append(message)
        return found

    def _take(self) -> Message | None:
        if len(self._buffer) < _LENGTHS.size:
            return None
        header_size, payload_size = _LENGTHS.unpack_from(self._buffer)
        if header_size > HEADER_LIMIT or payload_size > PAYLOAD_LIMIT:
            raise ProtocolError("a message is too large")
        end = _LENGTHS.size + header_size + payload_size
        if len(self._buffer) < end:
            return None
        header = bytes(self._buffer[_LENGTHS.size : _LENGTHS.size + header_size])
        payload = bytes(self._buffer[_LENGTHS.size + header_size : end])
        del self._buffer[:end]
        return _to_message(header, payload)


def _to_message(header: bytes, payload: bytes) -> Message:
    try:
        fields = json.loads(header)
        type_ = fields.pop("type")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise ProtocolError("a header is not a JSON object with a type") from None
    if not isinstance(type_, str):
        raise ProtocolError("a type is not a string")
    return Message(type=type_, fields=fields, payload=payload)
