"""How a packet of SSH is padded, encrypted and authenticated on its way out, for the ciphers that we offer.

RFC 4253, section 6; RFC 5647 for GCM; OpenSSH's PROTOCOL, section 1.5 for encrypt-then-mac. The packets are those that
paramiko makes; what it copies up to eight times is copied once here.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Protocol

Buffer = bytes | memoryview
_NUMBER = Struct(">I")
_HEAD = Struct(">IB")
_LENGTH_SIZE = 4
_LEAST_PADDING = 4


class Seal(Protocol):
    """One direction's protection, from one key exchange to the next."""

    def seal(self, parts: Sequence[Buffer], number: int) -> Sequence[Buffer]:
        """The packet of the payload that these parts make up, in parts. Called once for each number, in order."""


class Plain:
    """Before the first key exchange."""

    def seal(self, parts: Sequence[Buffer], _number: int) -> Sequence[Buffer]:
        """As of a Seal."""
        return (_packet(parts, block_size=8, is_length_covered=True),)


class Code:
    """Message authentication codes under one key."""

    def __init__(self, key: bytes, digest: Callable[..., Any], size: int) -> None:
        self._keyed = hmac.new(key, digestmod=digest)
        self._size = size

    def of(self, number: int, *parts: Buffer) -> bytes:
        """Of a packet's number and of these parts of it."""
        code = self._keyed.copy()
        code.update(_NUMBER.pack(number))
        for part in parts:
            code.update(part)
        return code.digest()[: self._size]


class EncryptThenMac:
    """A stream cipher; the MAC covers what is sent, and the length is in the clear."""

    def __init__(self, engine: Any, block_size: int, code: Code) -> None:
        self._engine = engine
        self._block_size = block_size
        self._code = code

    def seal(self, parts: Sequence[Buffer], number: int) -> Sequence[Buffer]:
        """As of a Seal."""
        packet = _packet(parts, block_size=self._block_size, is_length_covered=False)
        length, body = packet[:_LENGTH_SIZE], self._engine.update(memoryview(packet)[_LENGTH_SIZE:])
        return length, body, self._code.of(number, length, body)


class EncryptAndMac:
    """A stream cipher; the MAC covers what it hides, the length too."""

    def __init__(self, engine: Any, block_size: int, code: Code) -> None:
        self._engine = engine
        self._block_size = block_size
        self._code = code

    def seal(self, parts: Sequence[Buffer], number: int) -> Sequence[Buffer]:
        """As of a Seal."""
        packet = _packet(parts, block_size=self._block_size, is_length_covered=True)
        return self._engine.update(packet), self._code.of(number, packet)


class Gcm:
    """Authenticates by itself; the length is in the clear and authenticated. Its nonce counts packets."""

    def __init__(self, engine: Any, block_size: int, nonce: bytes) -> None:
        self._engine = engine
        self._block_size = block_size
        self._fixed, self._count = nonce[:4], int.from_bytes(nonce[4:], "big")

    def seal(self, parts: Sequence[Buffer], _number: int) -> Sequence[Buffer]:
        """As of a Seal."""
        packet = _packet(parts, block_size=self._block_size, is_length_covered=False, fill=os.urandom)
        nonce = self._fixed + self._count.to_bytes(8, "big")
        self._count = (self._count + 1) & 0xFFFF_FFFF_FFFF_FFFF
        length = packet[:_LENGTH_SIZE]
        return length, self._engine.encrypt(nonce, memoryview(packet)[_LENGTH_SIZE:], length)


def _packet(
    parts: Sequence[Buffer], *, block_size: int, is_length_covered: bool, fill: Callable[[int], bytes] = bytes
) -> bytes:
    """Padded by at least four bytes, to whole blocks of what is encrypted. A stream cipher may pad with zeros."""
    size = 1 + sum(map(len, parts))
    covered = size + _LENGTH_SIZE if is_length_covered else size
    padding = _LEAST_PADDING + -(covered + _LEAST_PADDING) % block_size
    return b"".join((_HEAD.pack(size + padding, padding), *parts, fill(padding)))
