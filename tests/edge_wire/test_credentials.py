"""Checks tokens and the words that people paste: whole words come back whole, all others are refused kindly."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from edge_wire import credentials
from edge_wire.errors import SecretInvalid
from edge_wire.v1 import enrollment_pb2

ENROLLMENT = enrollment_pb2.EnrollmentSecret(
    admin_urls=["https://192.0.2.1:44100", "https://admin.example.org:44100"],
    ca_certificate=b"\x30\x82\xff\x00",
    cluster="oslo",
    key_id="0f8fad5b-d9cb-469f-a165-70867728950e",
    nonce=bytes(range(32)),
)
LOGIN = enrollment_pb2.LoginSecret(
    admin_urls=["https://192.0.2.1:44100"], ca_certificate=b"\x30\x82\xff\x00", token="edge_op_abc"
)
ENROLLMENT_WORD = credentials.encode_enrollment(ENROLLMENT)
LOGIN_WORD = credentials.encode_login(LOGIN)

Decode = Callable[[str], object]
both_kinds = pytest.mark.parametrize(
    ("decode", "word"),
    [(credentials.decode_enrollment, ENROLLMENT_WORD), (credentials.decode_login, LOGIN_WORD)],
    ids=["enrollment", "login"],
)


def test_a_pasted_word_comes_back_whole() -> None:
    assert credentials.decode_enrollment(ENROLLMENT_WORD) == ENROLLMENT
    assert credentials.decode_login(LOGIN_WORD) == LOGIN


def test_the_words_are_what_the_protocol_says() -> None:
    body = base64.urlsafe_b64encode(LOGIN.SerializeToString()).decode().rstrip("=")
    assert f"el1.{body}" == LOGIN_WORD
    assert ENROLLMENT_WORD.startswith("ek1.")
    assert ENROLLMENT_WORD.isascii()
    assert "=" not in ENROLLMENT_WORD


@both_kinds
def test_blanks_around_a_word_do_not_matter(decode: Decode, word: str) -> None:
    assert decode(f" \t{word}\r\n") == decode(word)


@both_kinds
def test_a_word_that_was_cut_off_anywhere_is_refused(decode: Decode, word: str) -> None:
    for length in range(len(word)):
        with pytest.raises(SecretInvalid):
            decode(word[:length])


@both_kinds
@pytest.mark.parametrize("damage", ["!", "=", "%", " ", "\n", "ä", "\x00", "\udcff"])
def test_a_word_with_a_foreign_character_is_refused(decode: Decode, word: str, damage: str) -> None:
    with pytest.raises(SecretInvalid, match="copy the whole word again"):
        decode(word[:20] + damage + word[20:])


@both_kinds
def test_a_word_that_holds_something_else_is_refused(decode: Decode, word: str) -> None:
    for body in (b"\xff\xff\xff\xff", b"\x0a\x02\xc3\x28", b"\x0a\x7f"):
        with pytest.raises(SecretInvalid):
            decode(word[:4] + base64.urlsafe_b64encode(body).decode().rstrip("="))


def test_the_one_kind_is_not_the_other() -> None:
    with pytest.raises(SecretInvalid, match=r"not a login string: one begins with el1\."):
        credentials.decode_login(ENROLLMENT_WORD)
    with pytest.raises(SecretInvalid, match=r"not an enrollment key: one begins with ek1\."):
        credentials.decode_enrollment(LOGIN_WORD)


@both_kinds
def test_a_word_longer_than_the_limit_is_refused(decode: Decode, word: str) -> None:
    with pytest.raises(SecretInvalid, match="too long"):
        decode(word + "A" * (16 * 1024 + 1 - len(word)))


@pytest.mark.parametrize("field", ["admin_urls", "ca_certificate", "key_id", "nonce"])
def test_an_enrollment_key_needs_all_its_parts(field: str) -> None:
    secret = enrollment_pb2.EnrollmentSecret.FromString(ENROLLMENT.SerializeToString())
    secret.ClearField(field)  # type: ignore[arg-type]  # any field's name
    with pytest.raises(SecretInvalid, match="incomplete"):
        credentials.decode_enrollment(credentials.encode_enrollment(secret))


@pytest.mark.parametrize("field", ["admin_urls", "ca_certificate", "token"])
def test_a_login_string_needs_all_its_parts(field: str) -> None:
    secret = enrollment_pb2.LoginSecret.FromString(LOGIN.SerializeToString())
    secret.ClearField(field)  # type: ignore[arg-type]  # any field's name
    with pytest.raises(SecretInvalid, match="incomplete"):
        credentials.decode_login(credentials.encode_login(secret))


@pytest.mark.parametrize("size", [31, 33])
def test_a_nonce_has_32_bytes(size: int) -> None:
    secret = enrollment_pb2.EnrollmentSecret.FromString(ENROLLMENT.SerializeToString())
    secret.nonce = bytes(size)
    with pytest.raises(SecretInvalid, match="incomplete"):
        credentials.decode_enrollment(credentials.encode_enrollment(secret))


@both_kinds
def test_a_refusal_never_repeats_the_secret(decode: Decode, word: str) -> None:
    with pytest.raises(SecretInvalid) as raised:
        decode(word[:-2])
    assert word[4:12] not in raised.value.message
    assert raised.value.__cause__ is None


def test_no_two_tokens_are_equal_and_each_says_its_kind() -> None:
    tokens = {credentials.new_token("op") for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(token.startswith("edge_op_") and len(token) == len("edge_op_") + 43 for token in tokens)


def test_the_hash_of_a_token_stays_the_same_for_ever() -> None:
    expected = "ec734f46f9271ee20f8a215a20b1d4fe35ddf3e4114c5cddf3c0e2067ab387f3"
    assert credentials.hash_token("edge_op_abc").hex() == expected


def test_a_token_that_is_no_utf8_has_a_hash_too() -> None:
    assert len(credentials.hash_token("\udcff")) == 32


def test_secrets_are_the_same_only_when_every_byte_is() -> None:
    assert credentials.is_same(b"abc", b"abc")
    assert not credentials.is_same(b"abc", b"abd")
    assert not credentials.is_same(b"abc", b"ab")
