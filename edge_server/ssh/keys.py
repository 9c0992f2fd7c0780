"""Public keys in OpenSSH form: which are taken, how they are known, and where they may come from. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from edge_wire.errors import SshKeyInvalid
from edge_wire.names import quoted

TYPES = frozenset({"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"})
"""`ssh-rsa` names the kind of key; it signs with SHA-2 only."""
_LINE_LIMIT = 8192
_SMALLEST_RSA = 2048
_SOURCES_LIMIT = 32


@dataclass(frozen=True, kw_only=True)
class PublicKey:
    """One public key."""

    kind: str
    blob: bytes
    """As in RFC 4253, section 6.6: what a client sends."""
    comment: str = ""

    @property
    def line(self) -> str:
        """OpenSSH form without the comment."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` prints it."""
        return fingerprint_of(self.blob)


def fingerprint_of(blob: bytes) -> str:
    """`SHA256:…` of a key blob."""
    return f"SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')}"


def parse_public_key(line: str) -> PublicKey:
    """Read one line in OpenSSH form, without options before it. Raises SshKeyInvalid."""
    words = line.strip().split(None, 2)
    if "PRIVATE KEY" in line:
        raise SshKeyInvalid("this is a private key; it stays with its owner", hint="the public one is in FILE.pub")
    if len(line) > _LINE_LIMIT or "\n" in line.strip() or len(words) < 2:
        raise SshKeyInvalid("a public key is one line: ssh-ed25519 AAAA… comment")
    kind, encoded, *comment = words
    if kind not in TYPES:
        raise SshKeyInvalid(_other_kind(kind), hint="ssh-keygen -t ed25519 makes one that is")
    try:
        blob = base64.b64decode(encoded, validate=True)
        key = load_ssh_public_key(f"{kind} {encoded}".encode())
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        raise SshKeyInvalid("the key is damaged") from None
    if isinstance(key, RSAPublicKey) and key.key_size < _SMALLEST_RSA:
        raise SshKeyInvalid(f"an RSA key of {key.key_size} bits is too weak: at least {_SMALLEST_RSA}")
    return PublicKey(kind=kind, blob=blob, comment=comment[0].strip() if comment else "")


def check_sources(texts: Iterable[str]) -> list[str]:
    """Addresses and networks in their usual spelling. Raises SshKeyInvalid."""
    sources = list(dict.fromkeys(text.strip() for text in texts))
    if len(sources) > _SOURCES_LIMIT:
        raise SshKeyInvalid(f"a key may come from at most {_SOURCES_LIMIT} addresses and networks")
    try:
        return [str(ip_network(source)) if "/" in source else str(ip_address(source)) for source in sources]
    except ValueError as error:
        raise SshKeyInvalid(f"from: {error}", hint="ADDRESS or ADDRESS/BITS, such as 10.1.0.0/16") from None


def may_come_from(sources: Sequence[str], address: str) -> bool:
    """Whether an address is one of these, or in one of these networks; without any it may be anything."""
    if not sources:
        return True
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return any((mapped or found) in ip_network(source) for source in sources)


def _other_kind(kind: str) -> str:
    if "=" in kind or kind in _OPTIONS:
        return "options before a key are not taken; say --from and --expires instead"
    return f"keys of kind {quoted(kind)} are not taken"


_OPTIONS: Collection[str] = frozenset(
    {"restrict", "cert-authority", "no-pty", "no-port-forwarding", "no-agent-forwarding"}
)
