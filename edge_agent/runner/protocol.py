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
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

PROTOCOLS = (1,)
"""What this program speaks. The runner says it in its welcome; one that does not say it speaks 1."""
HEADER_LIMIT = 4 * 1024 * 1024
PAYLOAD_LIMIT = 1024 * 1024
_LENGTHS = struct.Struct(">II")
_to_json = json.JSONEncoder(separators=(",", ":")).encode


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
    return encode_front(type_, len(payload), fields) + payload


def encode_front(type_: str, payload_size: int, fields: Mapping[str, Any]) -> bytes:
    """What comes before the payload: whoever can send both one after the other need not copy a large one."""
    header = _to_json({"type": type_, **fields}).encode()
    return _LENGTHS.pack(len(header), payload_size) + header


class Decoder:
    """Bytes in, messages out, however they are cut.

    Whoever can read into memory reads into `room` and says how much it was, which copies a payload once.
    """

    def __init__(self, size: int = 4096) -> None:
        """`size` bytes are read at once; the memory grows to a message that is larger, and shrinks again."""
        self._size = size
        self._memory = memoryview(bytearray(size))
        self._start = self._end = 0
        """What was read and not taken yet."""

    def feed(self, data: bytes) -> list[Message]:
        """Take bytes and return what is complete. Raises ProtocolError."""
        found: list[Message] = []
        rest = memoryview(data)
        while rest:
            room = self.room()
            part = rest[: len(room)]
            room[: len(part)] = part
            found += self.took(len(part))
            rest = rest[len(part) :]
        return found

    def room(self) -> memoryview:
        """Where the next bytes may be written; never empty."""
        return self._memory[self._end :]

    def took(self, size: int) -> list[Message]:
        """So many bytes were written to `room`: return what is complete. Raises ProtocolError."""
        self._end += size
        found: list[Message] = []
        while (message := self._take()) is not None:
            found.append(message)
        return found

    def _take(self) -> Message | None:
        held = self._memory[self._start : self._end]
        if len(held) < _LENGTHS.size:
            self._make_room(_LENGTHS.size)
            return None
        header_size, payload_size = _LENGTHS.unpack_from(held)
        if header_size > HEADER_LIMIT or payload_size > PAYLOAD_LIMIT:
            raise ProtocolError("a message is too large")
        end = _LENGTHS.size + header_size + payload_size
        if len(held) < end:
            self._make_room(end)
            return None
        header = bytes(held[_LENGTHS.size : _LENGTHS.size + header_size])
        payload = bytes(held[_LENGTHS.size + header_size : end])
        self._start += end
        return _to_message(header, payload)

    def _make_room(self, size: int) -> None:
        """See to it that the message that begins here, of this size, fits behind what is held of it."""
        held = self._end - self._start
        if held and self._start + size <= len(self._memory):
            return
        size = max(size, self._size)
        if size != len(self._memory):
            larger = memoryview(bytearray(size))
            larger[:held] = self._memory[self._start : self._end]
            self._memory = larger
        else:
            self._memory[:held] = bytes(self._memory[self._start : self._end])
        self._start, self._end = 0, held


def _to_message(header: bytes, payload: bytes) -> Message:
    try:
        fields = json.loads(header.decode())
        type_ = fields.pop("type")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise ProtocolError("a header is not a JSON object with a type") from None
    if not isinstance(type_, str):
        raise ProtocolError("a type is not a string")
    return Message(type=type_, fields=fields, payload=payload)
