"""Public keys in OpenSSH form: which are taken, and where they may come from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_server.ssh.keys import check_sources, may_come_from, parse_public_key
from edge_wire.errors import SshKeyInvalid

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


def keygen(directory: Path, *words: str) -> str:
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "me at home", "-f", directory / "key", *words], check=True)
    return (directory / "key.pub").read_text()


@pytest.mark.parametrize("words", [("-t", "ed25519"), ("-t", "ecdsa", "-b", "384"), ("-t", "rsa", "-b", "2048")])
def test_what_ssh_keygen_makes_is_taken_and_known_by_the_same_fingerprint(tmp_path: Path, words: list[str]) -> None:
    key = parse_public_key(keygen(tmp_path, *words))
    shown = subprocess.run(["ssh-keygen", "-l", "-f", tmp_path / "key.pub"], check=True, capture_output=True, text=True)
    assert key.fingerprint == shown.stdout.split()[1]
    assert key.comment == "me at home"
    assert parse_public_key(key.line).blob == key.blob


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "one line"),
        ("ssh-ed25519", "one line"),
        (f"{ED25519}\n{ED25519}", "one line"),
        (f"{ED25519} {'x' * 9000}", "one line"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
        (f"restrict {ED25519}", "options before a key"),
        (f'from="10.0.0.1" {ED25519}', "options before a key"),
        ("ssh-dss AAAAB3NzaC1kc3M", "are not taken"),
        ("ssh-ed25519 %%%", "damaged"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnk", "damaged"),
        (f"ecdsa-sha2-nistp256 {ED25519.split()[1]}", "damaged"),
        ("\x1b[31m AAAA", "are not taken"),
    ],
)
def test_anything_else_is_refused_in_words(line: str, said: str) -> None:
    with pytest.raises(SshKeyInvalid, match=said) as refused:
        parse_public_key(line)
    assert "\x1b" not in refused.value.message


def test_a_weak_rsa_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SshKeyInvalid, match="1024 bits is too weak"):
        parse_public_key(keygen(tmp_path, "-t", "rsa", "-b", "1024"))


@given(st.text(max_size=200))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_no_text_does_more_than_be_refused(text: str) -> None:
    for line in (text, f"ssh-ed25519 {text}", f"ssh-rsa {text}"):
        try:
            parse_public_key(line)
        except SshKeyInvalid:
            continue


@pytest.mark.parametrize(
    ("sources", "address", "may"),
    [
        ([], "192.0.2.1", True),
        (["192.0.2.1"], "192.0.2.1", True),
        (["192.0.2.1"], "192.0.2.2", False),
        (["10.0.0.0/8"], "10.255.0.1", True),
        (["10.0.0.0/8"], "::ffff:10.1.1.1", True),
        (["2001:db8::/32"], "2001:db8::1", True),
        (["2001:db8::/32"], "10.0.0.1", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["10.0.0.0/8"], "", False),
        (["10.0.0.0/8"], "unix:", False),
    ],
)
def test_where_a_key_may_come_from(sources: list[str], address: str, may: bool) -> None:
    assert may_come_from(check_sources(sources), address) is may


@pytest.mark.parametrize("source", ["10.0.0.1/8", "example.com", "10.0.0.0/33", "", "*"])
def test_a_source_that_is_none_is_refused(source: str) -> None:
    with pytest.raises(SshKeyInvalid):
        check_sources([source])
