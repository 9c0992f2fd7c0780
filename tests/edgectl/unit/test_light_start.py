"""Checks that help, version, explain and TAB start fast: they import none of the heavy libraries of other commands."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

import pytest

from edge_wire.release import PROGRAM

HEAVY = ["grpc", "google.protobuf", "cryptography", "sqlalchemy", "keyring", "paramiko", "ClusterShell"]
TAB = ["__complete", "bash"]
BREAKS = " \t\n\"'@><=;|&(:"
RUN = """
import json, sys
from edgectl.__main__ import run_or_complete
code = run_or_complete(sys.argv[2:])
imported = [name for name in json.loads(sys.argv[1]) if name in sys.modules]
print(json.dumps([code, imported]), file=sys.stderr)
"""


def run_apart(*argv: str, heavy: Sequence[str] = HEAVY) -> tuple[str, str]:
    """What edgectl prints in a process of its own, and its code with the heavy modules that it imported."""
    command = [sys.executable, "-c", RUN, json.dumps(heavy), *argv]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--help"], "Usage: edgectl [OPTIONS] COMMAND"),
        (["version"], f"edgectl {PROGRAM}\n"),
        (["version", "-o", "json"], f'"edgectl": "{PROGRAM}"'),
        (["explain", "node_offline"], "The node is offline."),
        (["explain", "edgectl.node/v1"], '"title": "edgectl.node/v1"'),
        (["completion", "zsh"], "#compdef edgectl"),
        ([*TAB, "edgectl ver", BREAKS], "version"),
    ],
)
def test_nothing_heavy_is_imported(argv: list[str], said: str) -> None:
    out, err = run_apart(*argv)
    assert said in out
    assert json.loads(err) == [0, []]


@pytest.mark.parametrize("line", ["edgectl no", "edgectl node sh", "edgectl exec --fan", "edgectl node show ed"])
def test_a_tab_does_without_typer_too(line: str) -> None:
    out, err = run_apart(*TAB, line, BREAKS, heavy=[*HEAVY, "typer", "pydantic", "rich", "asyncio"])
    assert out.startswith("values\n")
    assert json.loads(err) == [0, []]


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["version"], 0),
        (["node", "list", "--help"], 0),
        (["exec", "edge01", "--cluster", "oslo", "--fanout", "5", "--view", "grouped", "--", "true"], 6),
        (["command", "list", "--limit", "10"], 6),
    ],
)
def test_a_command_line_is_read_without_pydantic(argv: list[str], code: int) -> None:
    """Which takes a third of the time that a short command takes; without a context each stops behind its words."""
    assert json.loads(run_apart(*argv, heavy=["pydantic"])[1].splitlines()[-1]) == [code, []]


def test_a_command_that_talks_to_an_admin_does_import_grpc() -> None:
    """Otherwise the test above would prove nothing."""
    out, err = run_apart("node", "list", "--help")
    code, imported = json.loads(err)
    assert out.startswith("Usage: edgectl node list")
    assert code == 0
    assert "grpc" in imported
