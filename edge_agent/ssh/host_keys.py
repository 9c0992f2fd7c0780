"""The keys by which this node's SSH server is known: made once, kept in the data directory.

cryptography is imported to make them and not to read them: it takes 9 MiB of every agent that has it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path

from edge_wire.errors import SettingsInvalid
from edge_wire.private_files import write_private

_KINDS = ("ed25519", "ecdsa")
_MAGIC = b"openssh-key-v1\0"


class HostKeys:
    """The host keys of one data directory. Reading them makes those that are missing: DirectoryNotWritable."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._private: dict[str, str] = {}

    def private(self, kind: str) -> str:
        """The key of a kind, `ed25519` or `ecdsa`, in OpenSSH's file format."""
        if kind not in self._private:
            path = self._directory / f"host-{kind}"
            if not path.exists():
                write_private(path, _new_file(kind))
            self._private[kind] = path.read_text()
        return self._private[kind]

    def public(self) -> Sequence[str]:
        """The public parts, `ssh-ed25519 AAAA…`."""
        return [self._public(kind) for kind in _KINDS]

    def _public(self, kind: str) -> str:
        """From its private file, which has the public part in clear (PROTOCOL.key of OpenSSH)."""
        try:
            data = base64.b64decode("".join(self.private(kind).splitlines()[1:-1]), validate=True)
            if not data.startswith(_MAGIC):
                raise ValueError
            _cipher, _kdf, _options, rest = _strings(data[len(_MAGIC) :], 3)
            public, _ = _strings(rest[4:], 1)  # behind the number of keys
            name, _ = _strings(public, 1)
            words = f"{name.decode('ascii')} {base64.b64encode(public).decode()}"
        except (ValueError, binascii.Error):
            path = self._directory / f"host-{kind}"
            raise SettingsInvalid(f"{path} is damaged", hint="remove it: a new host key is made") from None
        return words


def _strings(data: bytes, count: int) -> list[bytes]:
    """So many strings as SSH writes them (RFC 4251, section 5), and what is behind them. Raises ValueError."""
    found: list[bytes] = []
    for _ in range(count):
        size = int.from_bytes(data[:4])
        if len(data) < 4 + size:
            raise ValueError
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return [*found, data]


def _new_file(kind: str) -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    key = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    ).decode("ascii")
