"""Certificates of an installation: one CA, one role per certificate, dates that no clock can break.

P-256 everywhere. Each leaf carries its role as URI SAN (`edge://admin/<id>` or `edge://node/<id>`) and a DNS SAN that
only certificates of that role get, because a TLS client checks DNS names only (RFC 9525): a node certificate can never
pass for an admin's. Dates follow RFC 5280 4.1.2.5: valid from 1970 to "no well-defined expiry", so machines with wrong
clocks work; credentials are taken back in the database, not by date.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge_wire.errors import EnrollmentProofInvalid, SecretInvalid
from edge_wire.roles import SERVER_NAMES, Role

_NOT_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_AFTER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_PROOF_CONTEXT = b"edge-enroll-1"


@dataclass(frozen=True, kw_only=True)
class Authority:
    """The installation's CA."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def der(self) -> bytes:
        """The certificate, DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A private key with its certificate, PEM, ready for a TLS server."""

    certificate_chain: bytes
    key: bytes = field(repr=False)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The private key as unencrypted PKCS #8 PEM; the caller protects it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Read a key written by `key_pem`. Raises ValueError."""
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not a P-256 key")
    return key


def new_authority(installation_id: str) -> Authority:
    """Make the CA of a new installation."""
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"edge installation {installation_id}")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate=certificate, key=key)


def load_authority(certificate_der: bytes, key_pem_bytes: bytes) -> Authority:
    """Read a CA back."""
    return Authority(certificate=x509.load_der_x509_certificate(certificate_der), key=load_key(key_pem_bytes))


def sign_leaf(
    authority: Authority,
    *,
    role: Role,
    subject_id: str,
    public_key: ec.EllipticCurvePublicKey,
    hosts: Sequence[str] = (),
) -> bytes:
    """Sign a leaf certificate for exactly one role; DER. `hosts` are names and addresses that it is reached by, too."""
    sans = x509.SubjectAlternativeName(
        [
            x509.UniformResourceIdentifier(f"edge://{role}/{subject_id}"),
            x509.DNSName(SERVER_NAMES[role]),
            *map(_host_name, hosts),
        ]
    )
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{role} {subject_id}")]))
        .issuer_name(authority.certificate.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(sans, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.DER)


def new_admin_identity(authority: Authority, admin_id: str, hosts: Sequence[str] = ()) -> Identity:
    """Make the TLS identity of one run of an admin; `hosts` are for clients of its proxies that are not ours."""
    key = new_key()
    leaf = sign_leaf(authority, role="admin", subject_id=admin_id, public_key=key.public_key(), hosts=hosts)
    return Identity(certificate_chain=to_pem(leaf) + to_pem(authority.der), key=key_pem(key))


def new_certificate_request(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A PKCS #10 request, DER; it carries only the public key, names are the admin's to write."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


def sign_enrollment(
    key: ec.EllipticCurvePrivateKey, *, nonce: bytes, token_hash: bytes, certificate_request: bytes
) -> bytes:
    """Prove possession of the key and bind the token and the enrollment key to it."""
    return key.sign(_PROOF_CONTEXT + nonce + token_hash + certificate_request, ec.ECDSA(hashes.SHA256()))


def verify_enrollment(
    *, nonce: bytes, token_hash: bytes, certificate_request: bytes, signature: bytes
) -> ec.EllipticCurvePublicKey:
    """Return the public key of a request whose signatures hold, or raise EnrollmentProofInvalid."""
    try:
        request = x509.load_der_x509_csr(certificate_request)
        public_key = request.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise EnrollmentProofInvalid("the certificate request cannot be read") from None
    if not isinstance(public_key, ec.EllipticCurvePublicKey) or not isinstance(public_key.curve, ec.SECP256R1):
        raise EnrollmentProofInvalid("the certificate request's key is not P-256")
    if len(token_hash) != hashes.SHA256.digest_size or not request.is_signature_valid:
        raise EnrollmentProofInvalid
    try:
        proof = _PROOF_CONTEXT + nonce + token_hash + certificate_request
        public_key.verify(signature, proof, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise EnrollmentProofInvalid from None
    return public_key


def fingerprint(public_key: ec.EllipticCurvePublicKey) -> bytes:
    """SHA-256 of the SubjectPublicKeyInfo: what identifies a key pair."""
    spki = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(spki)
    return digest.finalize()


def to_pem(certificate_der: bytes) -> bytes:
    """One certificate as PEM. Raises SecretInvalid when it is none."""
    try:
        certificate = x509.load_der_x509_certificate(certificate_der)
    except ValueError:
        raise SecretInvalid("the CA certificate is damaged") from None
    return certificate.public_bytes(serialization.Encoding.PEM)


def role_of(certificate_der: bytes) -> tuple[Role, str] | None:
    """The one role of a certificate and whose it is, or None when it carries none or several."""
    certificate = x509.load_der_x509_certificate(certificate_der)
    try:
        sans = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    uris = sans.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        return None
    for role in SERVER_NAMES:
        prefix = f"edge://{role}/"
        if uris[0].startswith(prefix):
            return role, uris[0].removeprefix(prefix)
    return None


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
