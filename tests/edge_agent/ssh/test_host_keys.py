"""Host keys: made once, read without cryptography, and a damaged file is a clear error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from edge_agent.ssh.host_keys import HostKeys
from edge_wire.errors import SettingsInvalid

OPENSSH = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH


def test_the_public_parts_are_those_of_the_private_ones(tmp_path: Path) -> None:
    keys = HostKeys(tmp_path)
    made = [serialization.load_ssh_private_key(keys.private(kind).encode(), None) for kind in ("ed25519", "ecdsa")]
    assert list(keys.public()) == [key.public_key().public_bytes(*OPENSSH).decode() for key in made]
    assert HostKeys(tmp_path).public() == keys.public()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 3],
        lambda text: text.replace("b3Blbn", "b3BlbX"),
        lambda text: "\n".join(["-----", "####", "-----"]),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, damage: object) -> None:
    HostKeys(tmp_path).public()
    path = tmp_path / "host-ecdsa"
    path.write_text(damage(path.read_text()))  # type: ignore[operator]  # a function on text
    with pytest.raises(SettingsInvalid, match="host-ecdsa is damaged") as caught:
        HostKeys(tmp_path).public()
    assert "remove it" in caught.value.hint


def test_an_agent_that_is_enrolled_does_without_cryptography(tmp_path: Path) -> None:
    HostKeys(tmp_path).public()
    program = f"""
import json, pathlib, sys
import edge_agent.__main__, edge_agent.app
from edge_agent.ssh.host_keys import HostKeys
HostKeys(pathlib.Path({str(tmp_path)!r})).public()
print(json.dumps([name for name in ("cryptography", "paramiko", "bcrypt") if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == []
