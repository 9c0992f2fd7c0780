"""What a run says of itself, in markdown. Pure but for what it is told of the machine."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.ledger import Evidence
from tests.chaos.session_log import longest_gap
from tests.chaos.supervisor import Unplanned
from tests.chaos.verdict import CLAIMS, Violation


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run on one database."""

    seed: int
    seconds: float
    database: str
    nodes: int
    admins: int
    evidence: Evidence
    violations: Sequence[Violation]
    faults: Mapping[str, int]
    settled_after: float | None
    """Seconds from the last fault until everything was over; None when it never was."""
    connections: int
    unplanned: Sequence[Unplanned] = ()
    """Programs that ended by themselves and were started again."""

    @property
    def is_clean(self) -> bool:
        """Whether every claim holds."""
        return not self.violations and self.settled_after is not None


def render(run: Run) -> str:
    """The report of one run."""
    evidence = run.evidence
    outcomes = Counter(item.outcome or item.state for item in evidence.executions)
    errors = Counter(code for account in evidence.accounts for code in account.errors)
    codes = Counter(str(account.exit_code) for account in evidence.accounts if account.exit_code is not None)
    settled = f"{run.settled_after:.1f} s" if run.settled_after is not None else "never"
    rows = [
        ("seed", run.seed),
        ("database", f"{run.database}, fsync on"),
        ("length", f"{run.seconds:.0f} s of faults, {settled} until everything was over"),
        ("site", f"{run.admins} admins, {run.nodes} agents with their runners"),
        ("machine", machine()),
        ("commands", len(evidence.commands)),
        ("executions", len(evidence.executions)),
        ("asked for", f"{len(evidence.accounts)} times, {_repeats(evidence)} answers to repeated requests"),
        ("outcomes", _counts(outcomes)),
        ("faults", sum(run.faults.values())),
        ("runners killed", len(evidence.deaths)),
        ("connections", f"{run.connections} through the proxies, {sum(map(len, evidence.sessions.values()))} sessions"),
        ("longest without a session", _longest_gap(evidence)),
        ("exit codes of edgectl", _counts(codes)),
        ("errors that clients met", _counts(errors) or "none"),
        (
            "programs that ended by themselves",
            _counts(Counter(f"{i.name} ({i.code})" for i in run.unplanned)) or "none",
        ),
    ]
    lines = [f"## {run.database}, seed {run.seed}: {'passed' if run.is_clean else 'FAILED'}", ""]
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows), ""]
    lines += [
        "| fault | times |",
        "|---|---|",
        *(f"| {kind} | {count} |" for kind, count in sorted(run.faults.items())),
    ]
    broken = Counter(violation.claim for violation in run.violations)
    lines += ["", "| claim | violations |", "|---|---|", *(f"| {claim} | {broken[claim]} |" for claim in CLAIMS), ""]
    if run.violations:
        lines += ["```", *map(str, run.violations), "```", ""]
    return "\n".join(lines)


def machine() -> str:
    """Processor, cores and memory of this machine."""
    model = _field(Path("/proc/cpuinfo"), "model name") or "unknown processor"
    memory = int((_field(Path("/proc/meminfo"), "MemTotal") or "0 kB").split()[0]) / 1024**2
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB"


def _field(path: Path, name: str) -> str:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _repeats(evidence: Evidence) -> int:
    return sum(max(0, len(account.answers) - account.created) for account in evidence.accounts if account.created)


def _longest_gap(evidence: Evidence) -> str:
    gaps = {node: longest_gap(sessions) for node, sessions in evidence.sessions.items()}
    node = max(gaps, key=lambda name: gaps[name])
    return f"{gaps[node].total_seconds():.1f} s ({node})"


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in counter.most_common())
