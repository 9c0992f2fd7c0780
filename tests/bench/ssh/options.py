"""What the benchmark of SSH is asked to do."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import common_options

SECTIONS = ("connect", "sessions", "bulk", "idle_memory", "path")
FEWEST_ROUNDS = 5
_BOUNDS = {"connects": 1000, "sessions": 10_000, "megabytes": 10_000, "idle": 900}


@dataclass(frozen=True, kw_only=True)
class Options:
    """One run of the benchmark."""

    rounds: int
    connects: int
    sessions: int
    megabytes: int
    idle: int
    has_peers: bool
    json: Path | None
    sections: Sequence[str]


def parse(words: Sequence[str]) -> Options:
    """Read the command line; ends the program with a usage error when it cannot be meant."""
    parser = _parser()
    found = parser.parse_args(words)
    for name, most in _BOUNDS.items():
        if not 1 <= getattr(found, name) <= most:
            parser.error(f"--{name}: from 1 to {most}")
    sections = common_options.check(parser, found, SECTIONS)
    return Options(
        rounds=found.rounds,
        connects=found.connects,
        sessions=found.sessions,
        megabytes=found.megabytes,
        idle=found.idle,
        has_peers=found.peers,
        json=found.json,
        sections=sections,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench/ssh",
        description="Measure the agent's SSH server and edgectl ssh: logins, sessions, bulk and memory.",
    )
    parser.add_argument("--rounds", type=int, default=FEWEST_ROUNDS, help="interleaved rounds of every case")
    parser.add_argument("--connects", type=int, default=10, help="logins per round, one after the other (%(default)s)")
    parser.add_argument("--sessions", type=int, default=80, help="logins per round, 8 at a time (%(default)s)")
    parser.add_argument("--megabytes", type=int, default=200, help="of each bulk transfer (%(default)s)")
    parser.add_argument("--idle", type=int, default=100, help="idle sessions whose memory is measured (%(default)s)")
    parser.add_argument("--peers", action="store_true", help="run sshd beside us")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    parser.add_argument("--only", default="", metavar="A,B", help=f"these sections only: {', '.join(SECTIONS)}")
    return parser
