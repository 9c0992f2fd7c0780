"""What is offered to clients: nothing with SHA-1, MD5, CBC or DSA.

The client's order decides (RFC 4253, section 7.1), so these orders only say what we would like. What we like so much
that a client which has it is offered nothing else is in `offered_ciphers`.
"""

from __future__ import annotations

from collections.abc import Collection

KEY_EXCHANGES: tuple[str, ...] = (
    "mlkem768x25519-sha256",  # post-quantum; only where the cryptography library has it
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",  # the same under its older name
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
)
"""No Diffie-Hellman over integers: whoever has not logged in could make us compute for a tenth of a second, in which
nothing else of this process runs. Every client that knows SHA-2 knows one of these."""
CIPHERS: tuple[str, ...] = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
_AUTHENTICATED = tuple(name for name in CIPHERS if "-gcm" in name)
"""Encrypt and authenticate in one pass: half of the processor time of AES-CTR with an HMAC, on both sides."""
MACS: tuple[str, ...] = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
HOST_KEYS: tuple[str, ...] = ("ssh-ed25519", "ecdsa-sha2-nistp256")
USER_KEYS: tuple[str, ...] = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


def offered_ciphers(of_client: Collection[str]) -> tuple[str, ...]:
    """What to offer to a client with these ciphers: whatever its order is, one that it has in common with us."""
    common = tuple(name for name in _AUTHENTICATED if name in of_client)
    return common or CIPHERS


def speaks_first(version: str) -> bool:
    """Whether a client of this identification sends its algorithms without waiting for ours, as OpenSSH's does."""
    return version.startswith("SSH-2.0-OpenSSH_")
