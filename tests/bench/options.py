"""What the benchmark is asked to do, and whether this machine lets it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_wire.open_files import allow_open_files
from tests.bench import common_options

SECTIONS = (
    "latency",
    "fanout100",
    "fanout1000",
    "fanout10000",
    "output",
    "grouped",
    "memory",
    "storm",
    "storm10000",
    "databases",
    "journal",
    "flatness",
    "retention",
)
LARGEST_NODES = 10_000
FEWEST_ROUNDS = 5
AGENTS_PER_PROCESS = 250
LARGEST_HOSTS = 4
"""So many processes at most carry the agents of one fleet: the cores are few."""
_PER_AGENT = 4
"""Open files of one simulated agent: its connection, lock, journal and share of a runner."""
BESIDE = 200
"""Open files of a process besides those that the nodes or tunnels are."""

Spawn = Literal["real", "null"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """One run of the benchmark."""

    nodes: int
    rounds: int
    has_peers: bool
    json: Path | None
    docs: Path | None
    """A page that gets the report between its marks."""
    spawn: Spawn | None
    """None: what each row of the issue says."""
    journal: bool | None
    database: Literal["sqlite", "postgres"]
    sections: Sequence[str]
    output_bytes: int
    executions: int
    old_executions: int
    outage: float

    def size(self, wanted: int) -> int:
        """How many nodes a row that wants so many gets."""
        return min(wanted, self.nodes)


class Refused(Exception):
    """This machine does not allow what was asked."""


def parse(words: Sequence[str]) -> Options:
    """Read the command line; ends the program with a usage error when it cannot be meant."""
    parser = _parser()
    found = parser.parse_args(words)
    if found.nodes < 1:
        parser.error("--nodes: at least one node is needed")
    sections = common_options.check(parser, found, SECTIONS)
    return Options(
        nodes=found.nodes,
        rounds=found.rounds,
        has_peers=found.peers,
        json=found.json,
        docs=found.docs,
        spawn=found.spawn,
        journal=None if found.journal is None else found.journal == "on",
        database=found.database,
        sections=sections,
        output_bytes=found.output_mb * 1_000_000,
        executions=found.executions,
        old_executions=found.old_executions,
        outage=found.outage,
    )


def hosts_for(nodes: int) -> int:
    """How many processes carry so many agents."""
    return max(1, min(LARGEST_HOSTS, -(-nodes // AGENTS_PER_PROCESS)))


def files_needed(nodes: int) -> int:
    """How many files the busiest process of a fleet of this size has open."""
    return BESIDE + max(nodes, _PER_AGENT * -(-nodes // hosts_for(nodes)))


def raise_file_limit(nodes: int) -> None:
    """Take as many open files as are needed and allowed, for this process and its children. Raises Refused."""
    require_files(files_needed(nodes), f"{nodes} nodes")


def require_files(needed: int, what: str) -> None:
    """Take so many open files, for this process and its children. Raises Refused, naming what needs them."""
    allowed = allow_open_files(needed)
    if allowed < needed:
        raise Refused(
            f"{what} need {needed} open files in one process, and this shell allows {allowed}:"
            f" raise it with `ulimit -Hn {needed}` as root, or for good by nofile in /etc/security/limits.conf"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench/exec", description="Measure exec: an admin, simulated nodes, the floors and the peers."
    )
    parser.add_argument("--nodes", type=int, default=LARGEST_NODES, help="the most nodes of any row (%(default)s)")
    parser.add_argument("--rounds", type=int, default=FEWEST_ROUNDS, help="interleaved rounds of every case")
    parser.add_argument(
        "--peers", action="store_true", help="run clush, pdsh and the like beside us, over a local sshd"
    )
    parser.add_argument("--json", type=Path, help="write the report to this file")
    parser.add_argument(
        "--docs", type=Path, metavar="PAGE", help="put the report between its marks in this page: docs/benchmarks.md"
    )
    parser.add_argument("--spawn", choices=["real", "null"], help="for every row; null: no process is started")
    parser.add_argument("--journal", choices=["on", "off"], help="for every row: the nodes' journal")
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite", help="of the admin")
    parser.add_argument("--only", default="", metavar="A,B", help=f"these sections only: {', '.join(SECTIONS)}")
    parser.add_argument("--output-mb", type=int, default=1000, help="how much the output section moves (%(default)s)")
    parser.add_argument("--executions", type=int, default=100_000, help="of the flatness section (%(default)s)")
    parser.add_argument(
        "--old-executions", type=int, default=1_000_000, help="that the retention section has removed (%(default)s)"
    )
    parser.add_argument("--outage", type=float, default=10.0, help="seconds without an admin, in storms (%(default)s)")
    return parser
