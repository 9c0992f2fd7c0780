"""What the benchmark of relays is asked to do."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import common_options

OF_SOCKETS = ("bulk", "round_trips", "connections")
OF_SESSIONS = ("session", "idle")
SECTIONS = (*OF_SOCKETS, *OF_SESSIONS)
FEWEST_ROUNDS = 5
IDLE_TUNNELS = 2000
LARGEST_TUNNELS = 8000


@dataclass(frozen=True, kw_only=True)
class Options:
    """One run of the benchmark."""

    rounds: int
    seconds: float
    has_peers: bool
    json: Path | None
    sections: Sequence[str]
    tunnels: int
    """Of the idle section."""


def parse(words: Sequence[str]) -> Options:
    """Read the command line; ends the program with a usage error when it cannot be meant."""
    parser = _parser()
    found = parser.parse_args(words)
    if not 0 < found.seconds <= 60:
        parser.error("--seconds: more than none, and a minute at most")
    if not 0 < found.tunnels <= LARGEST_TUNNELS:
        parser.error(f"--tunnels: 1 to {LARGEST_TUNNELS}")
    sections = common_options.check(parser, found, SECTIONS)
    return Options(
        rounds=found.rounds,
        seconds=found.seconds,
        has_peers=found.peers,
        json=found.json,
        sections=sections,
        tunnels=found.tunnels,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench/relay",
        description="Measure how an agent relays: from socket to socket, and through its session with an admin.",
    )
    parser.add_argument("--rounds", type=int, default=FEWEST_ROUNDS, help="interleaved rounds of every case")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement (%(default)s)")
    parser.add_argument(
        "--peers", action="store_true", help="run haproxy, danted, microsocks, pproxy and ssh -D beside us"
    )
    parser.add_argument("--tunnels", type=int, default=IDLE_TUNNELS, help="of the idle section (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    parser.add_argument("--only", default="", metavar="A,B", help=f"these sections only: {', '.join(SECTIONS)}")
    return parser
