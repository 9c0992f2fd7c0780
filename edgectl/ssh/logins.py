"""A key pair for one login, let in by the admin, in files that only we can read and that go with us."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from edge_wire.errors import CredentialUnreadable
from edge_wire.v1 import ssh_pb2
from edgectl.connect import Admin


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """A key pair in OpenSSH form."""

    private: bytes = field(repr=False)
    public: str


def new_key_pair() -> KeyPair:
    """A new Ed25519 key pair."""
    return key_pair_of(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))


def key_pair_of(private: bytes) -> KeyPair:
    """The pair of a private key in OpenSSH form. Raises CredentialUnreadable."""
    try:
        public = load_ssh_private_key(private, None).public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise CredentialUnreadable("the SSH key is damaged", hint="remove it, and another is made") from None
    return KeyPair(private=private, public=public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


async def admit(admin: Admin, node: str, user: str, key: KeyPair) -> ssh_pb2.AdmitSshResponse:
    """Have the admin let this key in for two minutes. Raises EdgeError."""
    request = ssh_pb2.AdmitSshRequest(node=node, user=user, public_key=key.public)
    return await admin.call(admin.ssh.Admit, request)


def known_hosts(name: str, host: ssh_pb2.SshHost) -> str:
    """The host's keys as known_hosts has them, under this name."""
    return "".join(f"{name} {key}\n" for key in host.host_keys)


@contextmanager
def private_directory() -> Iterator[Path]:
    """A directory of our own for the time of the block; a short path, because sockets are in it."""
    path = Path(tempfile.mkdtemp(prefix="edgectl-", dir=_runtime_directory()))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def write_secret(path: Path, content: bytes) -> None:
    """A file that only we can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _runtime_directory() -> str | None:
    directory = os.environ.get("XDG_RUNTIME_DIR", "")
    return directory if directory and os.access(directory, os.W_OK) else None
