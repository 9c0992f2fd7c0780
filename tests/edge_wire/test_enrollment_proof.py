"""Checks the proof of an enrollment: only who holds the key can make it, and it binds all that it covers."""

from __future__ import annotations

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from edge_wire.certificates import new_certificate_request, new_key, sign_enrollment, verify_enrollment
from edge_wire.errors import EnrollmentProofInvalid

NONCE = bytes(range(32))
TOKEN_HASH = hashlib.sha256(b"edge_node_abc").digest()
OTHER_HASH = hashlib.sha256(b"edge_node_abd").digest()
KEY = new_key()
REQUEST = new_certificate_request(KEY)
SIGNATURE = sign_enrollment(KEY, nonce=NONCE, token_hash=TOKEN_HASH, certificate_request=REQUEST)
CURVE_P256 = bytes.fromhex("06082a8648ce3d030107")
KIND_EC = bytes.fromhex("06072a8648ce3d0201")


def verify(
    *,
    nonce: bytes = NONCE,
    token_hash: bytes = TOKEN_HASH,
    certificate_request: bytes = REQUEST,
    signature: bytes = SIGNATURE,
) -> ec.EllipticCurvePublicKey:
    return verify_enrollment(
        nonce=nonce, token_hash=token_hash, certificate_request=certificate_request, signature=signature
    )


def signed_by(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_a_true_proof_yields_the_key_that_was_proven() -> None:
    assert verify() == KEY.public_key()


def test_a_request_carries_no_names() -> None:
    request = x509.load_der_x509_csr(REQUEST)
    assert list(request.subject) == []
    assert list(request.extensions) == []


def test_another_enrollment_key_does_not_fit() -> None:
    with pytest.raises(EnrollmentProofInvalid):
        verify(nonce=bytes(32))


def test_another_token_does_not_fit() -> None:
    with pytest.raises(EnrollmentProofInvalid):
        verify(token_hash=OTHER_HASH)


def test_another_request_of_the_same_key_does_not_fit() -> None:
    with pytest.raises(EnrollmentProofInvalid):
        verify(certificate_request=new_certificate_request(KEY))


def test_another_keys_request_does_not_fit() -> None:
    thief = new_key()
    signature = sign_enrollment(thief, nonce=NONCE, token_hash=TOKEN_HASH, certificate_request=REQUEST)
    with pytest.raises(EnrollmentProofInvalid):
        verify(signature=signature)


@pytest.mark.parametrize(
    "signature",
    [b"", b"\x00", b"\x30\x00", SIGNATURE[:-1], SIGNATURE + b"\x00"],
    ids=["none", "zero", "empty", "cut", "longer"],
)
def test_a_damaged_signature_does_not_fit(signature: bytes) -> None:
    with pytest.raises(EnrollmentProofInvalid):
        verify(signature=signature)


@pytest.mark.parametrize("shift", [-1, 1])
def test_nonce_and_token_cannot_borrow_bytes_from_each_other(shift: int) -> None:
    whole = NONCE + TOKEN_HASH
    with pytest.raises(EnrollmentProofInvalid):
        verify(nonce=whole[: 32 + shift], token_hash=whole[32 + shift :])


@pytest.mark.parametrize(
    "request_der",
    [b"", b"\x30", REQUEST[:-1], b"-----BEGIN CERTIFICATE REQUEST-----\n"],
    ids=["none", "begun", "cut", "PEM"],
)
def test_a_request_that_cannot_be_read_is_refused(request_der: bytes) -> None:
    with pytest.raises(EnrollmentProofInvalid, match="cannot be read"):
        verify(certificate_request=request_der)


def test_a_request_whose_own_signature_does_not_hold_is_refused() -> None:
    damaged = REQUEST[:-1] + bytes([REQUEST[-1] ^ 1])
    signature = sign_enrollment(KEY, nonce=NONCE, token_hash=TOKEN_HASH, certificate_request=damaged)
    with pytest.raises(EnrollmentProofInvalid):
        verify(certificate_request=damaged, signature=signature)


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)], ids=["P-384", "RSA"]
)
def test_a_key_of_another_kind_is_refused(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    with pytest.raises(EnrollmentProofInvalid, match="not P-256"):
        verify(certificate_request=signed_by(key))


@pytest.mark.parametrize("known", [CURVE_P256, KIND_EC], ids=["curve", "kind of key"])
def test_a_key_of_an_unheard_of_kind_is_refused(known: bytes) -> None:
    unheard_of = REQUEST.replace(known, known[:-1] + b"\x63")
    with pytest.raises(EnrollmentProofInvalid):
        verify(certificate_request=unheard_of)
