"""What goes out: paramiko's own packetizer reads it, under every cipher and MAC that is offered."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import paramiko
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from paramiko.message import Message

from edge_agent.ssh.packetizer import Packetizer, Payloads

KEY, NONCE, MAC_KEY = b"k" * 16, b"fixed" + b"\xff" * 7, b"m" * 32
DIGESTS = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
PROTECTIONS = ["none", "gcm", "sha256", "sha512", "sha256-etm", "sha512-etm"]
IGNORE = 2
"""A kind of message; which does not matter here."""


@contextmanager
def ends(protection: str) -> Iterator[tuple[Packetizer, Any]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        theirs.settimeout(5)
        sender, reader = Packetizer(ours), paramiko.packet.Packetizer(theirs)
        protect(sender, reader, protection)
        yield sender, reader


def protect(sender: Any, reader: Any, protection: str) -> None:
    if protection == "none":
        return
    if protection == "gcm":
        sender.set_outbound_cipher(AESGCM(KEY), 16, None, 16, None, aead=True, iv_out=NONCE)
        reader.set_inbound_cipher(AESGCM(KEY), 16, None, 16, None, aead=True, iv_in=NONCE)
        return
    digest = DIGESTS[protection.removesuffix("-etm")]
    size, etm = digest().digest_size, protection.endswith("-etm")
    cipher = Cipher(AES(KEY), CTR(b"i" * 16))
    sender.set_outbound_cipher(cipher.encryptor(), 16, digest, size, MAC_KEY, sdctr=True, etm=etm)
    reader.set_inbound_cipher(cipher.decryptor(), 16, digest, size, MAC_KEY, etm=etm)


def message(text: bytes) -> Message:
    return Message(bytes([IGNORE]) + text)


@pytest.mark.parametrize("protection", PROTECTIONS)
def test_messages_of_every_length_are_read_as_they_were_sent(protection: str) -> None:
    texts = [b"x" * size for size in range(1, 40)]
    with ends(protection) as (sender, reader):
        for text in texts:
            sender.send_message(message(text))
        assert [reader.read_message()[1].asbytes() for _ in texts] == texts


@pytest.mark.parametrize("protection", PROTECTIONS)
def test_messages_that_go_out_together_are_read_one_by_one(protection: str) -> None:
    head, data = bytes([IGNORE]), memoryview(bytes(range(256)) * 40)
    with ends(protection) as (sender, reader):
        sender.send_message(Payloads([(head, data[:5000]), (head, data[5000:])]))
        sender.send_message(message(b"last"))
        read = [reader.read_message() for _ in range(3)]
    assert [kind for kind, _ in read] == [IGNORE] * 3
    assert [text.asbytes() for _, text in read] == [data[:5000], data[5000:], b"last"]


@pytest.mark.parametrize("protection", ["gcm", "sha256"])
def test_new_keys_are_asked_for_once_these_have_protected_enough(protection: str) -> None:
    with ends(protection) as (sender, _):
        sender.REKEY_BYTES = 1000
        sender.send_message(message(b"x" * 900))
        assert not sender.need_rekey()
        sender.send_message(message(b"x" * 100))
        assert sender.need_rekey()


def test_new_keys_are_asked_for_after_so_many_packets() -> None:
    with ends("sha256-etm") as (sender, _):
        sender.REKEY_PACKETS = 3
        sender.send_message(Payloads([(bytes([IGNORE]), b"x")] * 2))
        assert not sender.need_rekey()
        sender.send_message(message(b"x"))
        assert sender.need_rekey()


def test_strict_key_exchange_numbers_packets_anew() -> None:
    with ends("none") as (sender, reader):
        sender.send_message(message(b"before"))
        assert reader.read_message()[1].asbytes() == b"before"
        sender.reset_seqno_out()
        reader.reset_seqno_in()
        protect(sender, reader, "sha256-etm")
        sender.send_message(message(b"after"))
        assert reader.read_message()[1].asbytes() == b"after"


def test_without_a_strict_key_exchange_the_numbers_go_on() -> None:
    with ends("none") as (sender, reader):
        sender.send_message(message(b"before"))
        reader.read_message()
        protect(sender, reader, "sha256")
        sender.send_message(message(b"after"))
        assert reader.read_message()[1].asbytes() == b"after"
