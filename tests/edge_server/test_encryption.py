"""Checks encryption at rest: round trip, purpose, rotation, and one clear error for whatever is wrong."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_server.encryption import Cipher, new_key, parse_keys
from edge_wire.errors import SettingsInvalid
from tests.edge_server.fleet import PROPERTY

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


@PROPERTY
@given(plaintext=st.binary(max_size=200))
def test_what_is_encrypted_comes_back(plaintext: bytes) -> None:
    sealed = Cipher([OLD]).encrypt(plaintext, purpose="ca-key")
    assert Cipher([OLD]).decrypt(sealed, purpose="ca-key") == plaintext


def test_the_plaintext_is_not_to_be_seen_and_no_two_ciphertexts_are_alike() -> None:
    cipher = Cipher([OLD])
    first, second = (cipher.encrypt(b"a long enough secret", purpose="ca-key") for _ in range(2))
    assert b"secret" not in first
    assert first != second


def test_another_key_is_refused_with_what_to_do() -> None:
    sealed = Cipher([OLD]).encrypt(b"secret", purpose="ca-key")
    with pytest.raises(SettingsInvalid, match="written under another key") as raised:
        Cipher([NEW]).decrypt(sealed, purpose="ca-key")
    assert "the old key into ENCRYPTION_KEY, after the new one and a comma" in raised.value.hint


def test_while_keys_rotate_the_old_one_reads_and_the_new_one_writes() -> None:
    rotating = Cipher([NEW, OLD])
    assert rotating.decrypt(Cipher([OLD]).encrypt(b"secret", purpose="ca-key"), purpose="ca-key") == b"secret"
    assert Cipher([NEW]).decrypt(rotating.encrypt(b"secret", purpose="ca-key"), purpose="ca-key") == b"secret"


def test_a_ciphertext_serves_one_purpose_only() -> None:
    sealed = Cipher([OLD]).encrypt(b"secret", purpose="ca-key")
    with pytest.raises(SettingsInvalid, match="damaged"):
        Cipher([OLD]).decrypt(sealed, purpose="webhook")


@PROPERTY
@given(place=st.integers(0, 37), bit=st.integers(0, 7))
def test_a_single_changed_bit_is_noticed(place: int, bit: int) -> None:
    sealed = bytearray(Cipher([OLD]).encrypt(b"secret", purpose="ca-key"))
    assert len(sealed) == 38
    sealed[place] ^= 1 << bit
    with pytest.raises(SettingsInvalid):
        Cipher([OLD]).decrypt(bytes(sealed), purpose="ca-key")


CUT = range(38)


@pytest.mark.parametrize("length", CUT)
def test_a_ciphertext_that_was_cut_is_noticed(length: int) -> None:
    sealed = Cipher([OLD]).encrypt(b"secret", purpose="ca-key")[:length]
    with pytest.raises(SettingsInvalid):
        Cipher([OLD]).decrypt(sealed, purpose="ca-key")


def test_keys_are_base64_and_separated_by_commas() -> None:
    text = f"{base64.b64encode(NEW).decode()}, {base64.b64encode(OLD).decode()}"
    assert parse_keys(text) == [NEW, OLD]
    assert [len(key) for key in parse_keys(new_key())] == [32]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [("", "0 bytes instead of 32"), ("AAAA", "3 bytes instead of 32"), ("not base64!", "not base64"), ("ü", "ASCII")],
)
def test_what_is_no_key_is_refused(text: str, mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        parse_keys(text)


def test_keys_are_not_in_the_repr() -> None:
    assert repr(Cipher([OLD, NEW])) == "Cipher(2 keys)"
