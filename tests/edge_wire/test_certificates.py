"""Checks certificates: each carries exactly one role, no role passes for the other, and no clock makes one invalid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge_wire import certificates
from edge_wire.certificates import Authority, new_authority, new_key, role_of, sign_leaf
from edge_wire.errors import SecretInvalid
from edge_wire.roles import SERVER_NAMES, Role

NODE_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
both_roles = pytest.mark.parametrize("role", ["admin", "node"])


@pytest.fixture(scope="module")
def authority() -> Authority:
    return new_authority("i-1")


def leaf_of(authority: Authority, role: Role) -> x509.Certificate:
    der = sign_leaf(authority, role=role, subject_id=NODE_ID, public_key=new_key().public_key())
    return x509.load_der_x509_certificate(der)


def names_of(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def self_signed(*sans: str) -> bytes:
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
    builder = builder.not_valid_after(datetime(2030, 1, 1, tzinfo=UTC))
    if sans:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(san) for san in sans])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@both_roles
def test_a_leaf_says_its_role_and_whose_it_is(authority: Authority, role: Role) -> None:
    der = leaf_of(authority, role).public_bytes(serialization.Encoding.DER)
    assert role_of(der) == (role, NODE_ID)


@both_roles
def test_a_leaf_has_the_server_name_of_its_role_and_no_other(authority: Authority, role: Role) -> None:
    names = names_of(leaf_of(authority, role))
    assert names.get_values_for_type(x509.DNSName) == [SERVER_NAMES[role]]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"edge://{role}/{NODE_ID}"]


def test_a_node_can_never_pass_for_an_admin(authority: Authority) -> None:
    names = names_of(leaf_of(authority, "node")).get_values_for_type(x509.DNSName)
    assert "admin.edge.internal" not in names


@both_roles
def test_a_leaf_is_signed_by_the_authority_and_signs_nothing_itself(authority: Authority, role: Role) -> None:
    leaf = leaf_of(authority, role)
    leaf.verify_directly_issued_by(authority.certificate)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(purposes) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def test_the_authority_signs_leaves_only(authority: Authority) -> None:
    constraints = authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value.ca
    assert constraints.value.path_length == 0
    authority.certificate.verify_directly_issued_by(authority.certificate)


def test_two_authorities_do_not_vouch_for_each_others_leaves(authority: Authority) -> None:
    with pytest.raises(ValueError, match="issuer"):
        leaf_of(authority, "node").verify_directly_issued_by(new_authority("i-2").certificate)


@both_roles
def test_no_clock_makes_a_certificate_invalid(authority: Authority, role: Role) -> None:
    for certificate in (authority.certificate, leaf_of(authority, role)):
        assert certificate.not_valid_before_utc == datetime(1970, 1, 1, tzinfo=UTC)
        assert certificate.not_valid_after_utc == datetime.max.replace(microsecond=0, tzinfo=UTC)
        assert certificate.not_valid_after_utc - certificate.not_valid_before_utc > timedelta(days=2_900_000)


def test_no_two_leaves_have_the_same_serial_number(authority: Authority) -> None:
    assert leaf_of(authority, "node").serial_number != leaf_of(authority, "node").serial_number


def test_every_key_is_on_p256(authority: Authority) -> None:
    assert isinstance(authority.key.curve, ec.SECP256R1)
    assert isinstance(new_key().curve, ec.SECP256R1)


def test_an_authority_can_be_stored_and_read_back(authority: Authority) -> None:
    again = certificates.load_authority(authority.der, certificates.key_pem(authority.key))
    assert again.certificate == authority.certificate
    leaf_of(again, "node").verify_directly_issued_by(authority.certificate)


def test_a_key_never_shows_in_a_representation(authority: Authority) -> None:
    assert "key" not in repr(authority)
    assert "PRIVATE" not in repr(certificates.new_admin_identity(authority, "a-1"))


def test_an_admins_identity_is_its_leaf_the_authority_and_the_key(authority: Authority) -> None:
    identity = certificates.new_admin_identity(authority, "a-1")
    leaf, parent = x509.load_pem_x509_certificates(identity.certificate_chain)
    assert role_of(leaf.public_bytes(serialization.Encoding.DER)) == ("admin", "a-1")
    assert parent == authority.certificate
    assert certificates.load_key(identity.key).public_key() == leaf.public_key()


def test_a_key_of_another_kind_is_refused() -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with pytest.raises(ValueError, match="not a P-256 key"):
        certificates.load_key(pem)


@pytest.mark.parametrize(
    "sans",
    [
        (),
        ("https://example.org",),
        ("edge://owner/x",),
        ("edge://adminx/x",),
        ("edge://node/x", "edge://admin/x"),
        ("edge://node/x", "edge://node/y"),
        ("edge://node/x", "https://example.org"),
    ],
)
def test_a_certificate_with_no_or_several_names_has_no_role(sans: tuple[str, ...]) -> None:
    assert role_of(self_signed(*sans)) is None


def test_the_authority_has_no_role(authority: Authority) -> None:
    assert role_of(authority.der) is None


def test_a_certificate_can_be_written_as_pem(authority: Authority) -> None:
    pem = certificates.to_pem(authority.der)
    assert x509.load_pem_x509_certificate(pem) == authority.certificate
    assert pem.startswith(b"-----BEGIN CERTIFICATE-----\n")


@pytest.mark.parametrize("der", [b"", b"\x30", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_damaged_certificate_is_refused(der: bytes) -> None:
    with pytest.raises(SecretInvalid, match="the CA certificate is damaged"):
        certificates.to_pem(der)


def test_a_fingerprint_names_one_key_pair() -> None:
    key = new_key()
    again = certificates.load_key(certificates.key_pem(key))
    assert certificates.fingerprint(key.public_key()) == certificates.fingerprint(again.public_key())
    assert certificates.fingerprint(key.public_key()) != certificates.fingerprint(new_key().public_key())
    assert len(certificates.fingerprint(key.public_key())) == 32
