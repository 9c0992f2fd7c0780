"""Bearer tokens and the words that people paste: enrollment keys and login strings."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from edge_wire.errors import SecretInvalid
from edge_wire.v1 import enrollment_pb2

ENROLLMENT_PREFIX = "ek1."
LOGIN_PREFIX = "el1."
NONCE_BYTES = 32
SECRET_LIMIT = 16 * 1024
"""Longest pasted word in characters."""

_PasteT = TypeVar("_PasteT", bound=Message)


def new_token(kind: str) -> str:
    """Make a bearer token with 256 random bits; `kind` (`op` or `node`) only helps people to tell them apart."""
    return f"edge_{kind}_{secrets.token_urlsafe(32)}"


def hash_token(token: str) -> bytes:
    """SHA-256 of a token: tokens are random, so nothing slower is needed."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def is_same(left: bytes, right: bytes) -> bool:
    """Compare secrets in constant time."""
    return hmac.compare_digest(left, right)


def encode_enrollment(secret: enrollment_pb2.EnrollmentSecret) -> str:
    """The word to paste on a new node."""
    return _encode(ENROLLMENT_PREFIX, secret)


def decode_enrollment(text: str) -> enrollment_pb2.EnrollmentSecret:
    """Read a pasted enrollment key, or raise SecretInvalid."""
    secret = _decode(ENROLLMENT_PREFIX, "an enrollment key", text, enrollment_pb2.EnrollmentSecret())
    if not (secret.admin_urls and secret.ca_certificate and secret.key_id and len(secret.nonce) == NONCE_BYTES):
        raise SecretInvalid("the enrollment key is incomplete: copy the whole word")
    return secret


def encode_login(secret: enrollment_pb2.LoginSecret) -> str:
    """The word that `edgectl login` reads."""
    return _encode(LOGIN_PREFIX, secret)


def decode_login(text: str) -> enrollment_pb2.LoginSecret:
    """Read a pasted login string, or raise SecretInvalid."""
    secret = _decode(LOGIN_PREFIX, "a login string", text, enrollment_pb2.LoginSecret())
    if not (secret.admin_urls and secret.ca_certificate and secret.token):
        raise SecretInvalid("the login string is incomplete: copy the whole word")
    return secret


def _encode(prefix: str, secret: Message) -> str:
    return prefix + base64.urlsafe_b64encode(secret.SerializeToString()).rstrip(b"=").decode("ascii")


def _decode(prefix: str, kind: str, text: str, into: _PasteT) -> _PasteT:
    word = text.strip()
    if not word.startswith(prefix):
        raise SecretInvalid(f"that is not {kind}: one begins with {prefix}")
    if len(word) > SECRET_LIMIT:
        raise SecretInvalid(f"that is not {kind}: it is too long")
    body = word[len(prefix) :]
    try:
        into.ParseFromString(base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, DecodeError):
        raise SecretInvalid(f"{kind} is damaged: copy the whole word again") from None
    return into
