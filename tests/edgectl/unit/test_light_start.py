"""Checks that help and version start fast: they import none of the heavy libraries that other commands need."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from edge_wire.release import PROGRAM

HEAVY = ["grpc", "google.protobuf", "cryptography", "sqlalchemy", "keyring", "paramiko", "ClusterShell"]
RUN = """
import json, sys
from edgectl.__main__ import run
code = run(sys.argv[2:])
imported = [name for name in json.loads(sys.argv[1]) if name in sys.modules]
print(json.dumps([code, imported]), file=sys.stderr)
"""


def run_apart(*argv: str) -> tuple[str, str]:
    """What edgectl prints in a process of its own, and its code with the heavy modules that it imported."""
    command = [sys.executable, "-c", RUN, json.dumps(HEAVY), *argv]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--help"], "Usage: edgectl [OPTIONS] COMMAND"),
        (["version"], f"edgectl {PROGRAM}\n"),
        (["version", "-o", "json"], f'"edgectl": "{PROGRAM}"'),
    ],
)
def test_nothing_heavy_is_imported(argv: list[str], said: str) -> None:
    out, err = run_apart(*argv)
    assert said in out
    assert json.loads(err) == [0, []]


def test_a_command_that_talks_to_an_admin_does_import_grpc() -> None:
    """Otherwise the test above would prove nothing."""
    out, err = run_apart("node", "list", "--help")
    code, imported = json.loads(err)
    assert out.startswith("Usage: edgectl node list")
    assert code == 0
    assert "grpc" in imported
