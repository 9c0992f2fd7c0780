"""Encryption at rest: AES-256-GCM under ENCRYPTION_KEY, with the key's id in the ciphertext so that keys can rotate."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edge_wire.errors import SettingsInvalid

KEY_BYTES = 32
_ID_BYTES = 4
_NONCE_BYTES = 12


class Cipher:
    """Encrypts under the first key, decrypts under any of them."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {_key_id(key): AESGCM(key) for key in keys}
        self._current = _key_id(keys[0])

    def __repr__(self) -> str:
        return f"Cipher({len(self._keys)} keys)"

    def encrypt(self, plaintext: bytes, *, purpose: str) -> bytes:
        """Key id, nonce and sealed text; `purpose` must be given again to decrypt."""
        nonce = os.urandom(_NONCE_BYTES)
        return self._current + nonce + self._keys[self._current].encrypt(nonce, plaintext, purpose.encode())

    def decrypt(self, sealed: bytes, *, purpose: str) -> bytes:
        """The plaintext. Raises SettingsInvalid when no key fits."""
        key = self._keys.get(sealed[:_ID_BYTES])
        if key is None:
            raise SettingsInvalid(
                "ENCRYPTION_KEY does not fit this database: it was written under another key",
                hint="put the old key into ENCRYPTION_KEY, after the new one and a comma",
            )
        nonce, text = sealed[_ID_BYTES : _ID_BYTES + _NONCE_BYTES], sealed[_ID_BYTES + _NONCE_BYTES :]
        try:
            return key.decrypt(nonce, text, purpose.encode())
        except (InvalidTag, ValueError):
            raise SettingsInvalid("what is encrypted in the database is damaged") from None


def parse_keys(text: str) -> list[bytes]:
    """Read ENCRYPTION_KEY: base64 keys of 32 bytes, newest first, separated by commas. Raises ValueError."""
    keys = []
    for word in text.split(","):
        try:
            key = base64.b64decode(word.strip(), validate=True)
        except binascii.Error:
            raise ValueError("not base64") from None
        if len(key) != KEY_BYTES:
            raise ValueError(f"{len(key)} bytes instead of {KEY_BYTES}")
        keys.append(key)
    return keys


def new_key() -> str:
    """A fresh key in the form that ENCRYPTION_KEY takes."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode("ascii")


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"edge-key-id" + key).digest()[:_ID_BYTES]
