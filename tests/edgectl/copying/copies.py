"""Copies as `edgectl cp` makes them, with nodes in this process."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import paramiko

from edge_wire.errors import EdgeError
from edgectl.copying.fleet import FleetCopy
from edgectl.copying.places import parse_route
from edgectl.copying.reports import Listener, Silence
from edgectl.copying.results import NodeResult, row
from edgectl.copying.tree_copy import Options
from tests.support.schemas import check
from tests.support.ssh_node import SshNode

_SFTP_SERVER = Path(__file__).parents[3] / "edge_agent/ssh/sftp_server.py"
MIB = 1024 * 1024


def our_node(home: Path, *, can_run: bool = True, prefix: Sequence[str] = ()) -> SshNode:
    """A node with the SFTP server that agents have."""
    server = [*prefix, sys.executable, "-I", "-S", "-c", _SFTP_SERVER.read_text()]
    return SshNode(home, sftp=server, can_run=can_run)


def random_bytes(size: int) -> bytes:
    """Content that is the same in every run and nowhere repeats."""
    return hashlib.shake_128(b"content").digest(size)


class Copier:
    """Copies with one node."""

    def __init__(self, node: SshNode) -> None:
        self._node = node
        self.transports: list[paramiko.Transport] = []
        """Every connection that was made."""

    @contextmanager
    def _open(self, node: str, user: str) -> Iterator[paramiko.Transport]:
        with self._node.open(node, user) as transport:
            self.transports.append(transport)
            yield transport

    def copy(self, *words: str | bytes, listener: Listener | None = None, **options: bool) -> NodeResult:
        """Run `edgectl cp WORDS` with the node n1."""
        route = parse_route([os.fsdecode(word) for word in words])
        fleet = FleetCopy(
            route=route,
            options=Options(**options),
            is_apart=False,
            opener=self._open,
            listener=listener or Silence(),
        )
        [result] = fleet.run(["n1"])
        check(row(result, is_push=route.is_push))
        return result

    def must(self, *words: str | bytes, **options: bool) -> NodeResult:
        """Run it; everything must be copied."""
        result = self.copy(*words, listener=None, **options)
        assert (result.outcome, [error.message for error in result.errors]) == ("ok", [])
        return result


class Heard(Silence):
    """A listener that remembers, and acts once so many bytes have moved."""

    def __init__(self, *, act_after: int = sys.maxsize) -> None:
        self.events: list[tuple[str, ...]] = []
        self.bytes = 0
        self._act_after = act_after
        self._lock = threading.Lock()

    def act(self) -> None:
        """What is done once."""

    def planned(self, node: str, *, files: int, size: int) -> None:
        """A source was listed."""
        self.events.append(("planned", node, str(files), str(size)))

    def started(self, node: str, path: str) -> None:
        """A file begins."""
        self.events.append(("started", node, path))

    def moved(self, node: str, size: int) -> None:
        """Bytes were handed on."""
        with self._lock:
            is_over_before, self.bytes = self.bytes >= self._act_after, self.bytes + size
        if not is_over_before and self.bytes >= self._act_after:
            self.act()

    def done(self, node: str, path: str) -> None:
        """A file is complete."""
        self.events.append(("done", node, path))

    def failed(self, node: str, error: EdgeError) -> None:
        """Something will not be copied."""
        self.events.append(("failed", node, error.code))
