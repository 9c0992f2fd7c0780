"""Copies with many nodes at once."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import paramiko
import pytest

from edge_wire.errors import CopyFailed, Denied, EdgeError, Internal, NoContact, NodeOffline, Unavailable
from edgectl.copying.fleet import FleetCopy
from edgectl.copying.places import parse_route
from edgectl.copying.reports import Listener, Silence
from edgectl.copying.results import NodeResult, exit_code, failure_lines, row, summary
from edgectl.copying.tree_copy import Options
from tests.edgectl.copying.copies import Heard, our_node
from tests.support.schemas import check


class Nodes:
    """Several nodes; some of them cannot be reached."""

    def __init__(self, tmp_path: Path, *, refusing: dict[str, Exception] | None = None) -> None:
        self._tmp_path = tmp_path
        self._refusing = refusing or {}
        self.users: set[str] = set()
        self.open = 0
        self.most_open = 0
        self._lock = threading.Lock()

    def home(self, node: str) -> Path:
        """The home directory there."""
        return self._tmp_path / "homes" / node

    @contextmanager
    def opener(self, node: str, user: str) -> Iterator[paramiko.Transport]:
        """Reach one."""
        if node in self._refusing:
            raise self._refusing[node]
        self.home(node).mkdir(parents=True, exist_ok=True)
        with self._lock:
            self.users.add(user)
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        try:
            with our_node(self.home(node)).open(node, user) as transport:
                yield transport
        finally:
            with self._lock:
                self.open -= 1

    def copy(
        self,
        names: Sequence[str],
        *words: str,
        fanout: int = 8,
        is_apart: bool = False,
        listener: Listener | None = None,
        recursive: bool = False,
    ) -> list[NodeResult]:
        """Run `edgectl cp WORDS` with these nodes."""
        fleet = FleetCopy(
            route=parse_route(words),
            options=Options(recursive=recursive),
            is_apart=is_apart,
            opener=self.opener,
            listener=listener or Silence(),
        )
        return fleet.run(names, fanout=fanout)


NAMES = [f"n{number}" for number in range(12)]


def test_a_file_goes_to_every_node_as_the_account_that_was_named(tmp_path: Path, here: Path) -> None:
    nodes = Nodes(tmp_path)
    (here / "file").write_text("content")
    results = nodes.copy(NAMES, "file", "ann@n[0-11]:there", fanout=3)
    assert [(result.node, result.outcome) for result in results] == [(name, "ok") for name in NAMES]
    assert {(nodes.home(name) / "there").read_text() for name in NAMES} == {"content"}
    assert (exit_code(results), nodes.users, nodes.open) == (0, {"ann"}, 0)
    assert nodes.most_open <= 3
    assert summary(results).startswith("12 ok · 12 files · 84 B · ")


def test_what_comes_from_several_nodes_is_kept_apart(tmp_path: Path, here: Path) -> None:
    nodes = Nodes(tmp_path)
    for name in NAMES:
        (nodes.home(name) / "log").mkdir(parents=True)
        (nodes.home(name) / "log/file").write_text(name)
    results = nodes.copy(NAMES, "n[0-11]:log", "new/logs", is_apart=True, recursive=True)
    assert exit_code(results) == 0
    assert {name: (here / "new/logs" / name / "log/file").read_text() for name in NAMES} == dict(
        zip(NAMES, NAMES, strict=True)
    )


def test_a_node_with_an_odd_name_gets_no_directory_elsewhere(tmp_path: Path, here: Path) -> None:
    nodes = Nodes(tmp_path)
    [result] = nodes.copy([".."], ":x", "got", is_apart=True)
    assert (result.outcome, os.listdir(here)) == ("failed", [])


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (NodeOffline("n1 is offline"), "offline", 4),
        (Unavailable(), "offline", 4),
        (NoContact(), "offline", 4),
        (Denied(), "failed", 3),
        (paramiko.SSHException("no"), "offline", 4),
        (ConnectionRefusedError(), "offline", 4),
        (ZeroDivisionError("?"), "failed", 3),
    ],
)
def test_a_node_that_cannot_be_reached_stops_no_other(
    tmp_path: Path, here: Path, error: Exception, outcome: str, code: int
) -> None:
    nodes, heard = Nodes(tmp_path, refusing={"n1": error}), Heard()
    (here / "file").write_text("content")
    results = nodes.copy(NAMES[:3], "file", "n[0-2]:.", listener=heard)
    assert [result.outcome for result in results] == ["ok", outcome, "ok"]
    assert exit_code(results) == code
    assert (nodes.home("n2") / "file").read_text() == "content"
    assert [event[:2] for event in heard.events if event[0] == "failed"] == [("failed", "n1")]


def test_a_node_that_refuses_a_file_stops_no_other(tmp_path: Path, here: Path) -> None:
    nodes = Nodes(tmp_path)
    (here / "file").write_text("content")
    (nodes.home("n1") / "there").mkdir(parents=True)
    (nodes.home("n1") / "there/file").mkdir()
    results = nodes.copy(NAMES[:2], "file", "n[0-1]:there")
    assert [result.outcome for result in results] == ["ok", "failed"]
    assert failure_lines(results)[0] == "edgectl: n1: copy_failed: there/file: is there, and is no file"
    assert exit_code(results) == 3


class Interrupting(Heard):
    """Types Ctrl-C when the first file begins."""

    def started(self, node: str, path: str) -> None:
        """Type it, once."""
        with self._lock:
            is_first, self.bytes = not self.bytes, 1
        if is_first:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_ends_what_is_under_way_and_begins_nothing_more(tmp_path: Path, here: Path) -> None:
    nodes = Nodes(tmp_path)
    (here / "file").write_bytes(bytes(50_000_000))
    results = nodes.copy(NAMES, "file", "n[0-11]:.", fanout=2, listener=Interrupting())
    outcomes = [result.outcome for result in results]
    assert "cancelled" in outcomes
    assert outcomes.count("not_started") >= 8
    assert exit_code(results) == 130


EVERY_ERROR: list[EdgeError | None] = [None, CopyFailed("x"), NoContact("y", hint="z"), Internal("?")]


@pytest.mark.parametrize("error", EVERY_ERROR)
@pytest.mark.parametrize("outcome", ["ok", "failed", "offline", "no_contact", "cancelled", "not_started"])
def test_every_result_is_described(error: EdgeError | None, outcome: str) -> None:
    result = NodeResult(node="n1", outcome=outcome, errors=[error] if error else [])  # type: ignore[arg-type]
    for is_push in (False, True):
        check(json.loads(json.dumps(row(result, is_push=is_push))))


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        (["ok", "ok"], 0),
        (["ok", "failed"], 3),
        (["failed", "offline"], 4),
        (["ok", "no_contact"], 4),
        (["ok", "cancelled", "offline"], 130),
        (["not_started", "ok"], 130),
    ],
)
def test_exit_codes_follow_the_contract(outcomes: list[str], code: int) -> None:
    assert exit_code([NodeResult(node="n", outcome=word) for word in outcomes]) == code  # type: ignore[arg-type]


@pytest.mark.parametrize(("error", "code"), [(Denied(), 7), (NodeOffline(), 4), (Unavailable(), 9), (CopyFailed(), 3)])
def test_one_node_has_the_code_of_its_error(error: EdgeError, code: int) -> None:
    assert exit_code([NodeResult(node="n", outcome="failed", errors=[error])]) == code


def test_failures_that_are_not_listed_are_counted() -> None:
    result = NodeResult(node="n", outcome="failed", failures=25, errors=[CopyFailed("x")] * 20)
    assert failure_lines([result])[1] == "edgectl: n: 5 more"
