"""What `edgectl cp` prints and how it exits, without the command line around it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
import pytest

from edge_wire.errors import NodeOffline
from edgectl.copying.foreground import CopyPlan, copy_in_foreground
from edgectl.copying.node_copy import SshOpener
from edgectl.copying.places import parse_route
from edgectl.copying.tree_copy import Options
from edgectl.invocation import Invocation, OutputFormat
from tests.edgectl.copying.copies import our_node
from tests.support.schemas import check


def run(opener: SshOpener, *words: str, nodes: tuple[str, ...] = ("n1",), output: OutputFormat = "text") -> int:
    plan = CopyPlan(route=parse_route(words), nodes=nodes, options=Options(), is_apart=False)
    return copy_in_foreground(Invocation(output=output), plan, opener)


@contextmanager
def offline(node: str, user: str) -> Iterator[paramiko.Transport]:
    """Nobody is there."""
    raise NodeOffline(f"{node} is offline", hint="edgectl node show NODE")
    yield


def test_people_read_a_summary_on_stderr(home: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "file").write_text("content")
    assert run(our_node(home).open, "file", "n1:.") == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("1 file · 7 B · ")


def test_programs_read_a_row_per_node(home: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "file").write_text("content")
    assert run(our_node(home).open, "file", "n1:.", output="json") == 0
    [row] = json.loads(capsys.readouterr().out)
    check(row)
    assert (row["node"], row["direction"], row["outcome"], row["bytes"]) == ("n1", "push", "ok", 7)


def test_nodes_that_failed_alike_share_a_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @contextmanager
    def away(node: str, user: str) -> Iterator[paramiko.Transport]:
        raise NodeOffline
        yield

    assert run(away, "file", ":.", nodes=("n1", "n2", "n3"), output="jsonl") == 4
    out, err = capsys.readouterr()
    assert [json.loads(line)["error"]["code"] for line in out.splitlines()] == ["node_offline"] * 3
    assert err.splitlines()[0] == "edgectl: n[1-3]: node_offline: The node is offline"
    assert err.splitlines()[1].startswith("3 offline · 0 files · 0 B · ")


def test_one_node_that_is_offline_says_what_to_type(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(offline, "n1:file", ".") == 4
    assert "n1 is offline. edgectl node show NODE" in capsys.readouterr().err


def test_sigterm_ends_it(home: Path, here: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)

    @contextmanager
    def terminating(node: str, user: str) -> Iterator[paramiko.Transport]:
        with our_node(home).open(node, user) as transport:
            os.kill(os.getpid(), signal.SIGTERM)
            yield transport

    (here / "file").write_bytes(bytes(50_000_000))
    assert run(terminating, "file", "n1:.") == 143
    assert signal.getsignal(signal.SIGTERM) is before
