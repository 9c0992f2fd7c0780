"""The keys by which this node's SSH server is known: made once, kept in the data directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from edge_wire.private_files import write_private

_Key = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
_KINDS = ("ed25519", "ecdsa")


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
                write_private(path, _as_file(_new_key(kind)))
            self._private[kind] = path.read_text()
        return self._private[kind]

    def public(self) -> Sequence[str]:
        """The public parts, `ssh-ed25519 AAAA…`."""
        keys = [serialization.load_ssh_private_key(self.private(kind).encode(), None) for kind in _KINDS]
        return [
            key.public_key()
            .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
            .decode("ascii")
            for key in keys
        ]


def _new_key(kind: str) -> _Key:
    return ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())


def _as_file(key: _Key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    ).decode("ascii")
