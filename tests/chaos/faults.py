"""The faults of a run, derived from the seed alone. Pure: what happens when to whom; the injector makes it happen."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What may go wrong."""

    KILL_AGENT = "kill agent"
    KILL_RUNNER = "kill runner"
    KILL_NODE = "kill agent and runner"
    KILL_ADMIN = "kill admin"
    KILL_DATABASE = "kill database"
    KILL_CLIENT = "kill client"
    FREEZE_AGENT = "freeze agent"
    FREEZE_RUNNER = "freeze runner"
    FREEZE_ADMIN = "freeze admin"
    FREEZE_DATABASE = "freeze database"
    FREEZE_CLIENT = "freeze client"
    CUT = "cut connection"
    RESET = "reset connection"
    STALL = "stall connection"
    HALF_OPEN = "half-open connection"
    CUT_ALL = "cut every connection"
    RESET_ALL = "reset every connection"
    STALL_ALL = "stall every connection"


WEIGHTS: Mapping[Kind, int] = {
    Kind.KILL_AGENT: 14,
    Kind.KILL_RUNNER: 10,
    Kind.KILL_NODE: 4,
    Kind.KILL_ADMIN: 4,
    Kind.KILL_DATABASE: 4,
    Kind.KILL_CLIENT: 8,
    Kind.FREEZE_AGENT: 8,
    Kind.FREEZE_RUNNER: 6,
    Kind.FREEZE_ADMIN: 3,
    Kind.FREEZE_DATABASE: 4,
    Kind.FREEZE_CLIENT: 4,
    Kind.CUT: 8,
    Kind.RESET: 8,
    Kind.STALL: 8,
    Kind.HALF_OPEN: 8,
    Kind.CUT_ALL: 2,
    Kind.RESET_ALL: 2,
    Kind.STALL_ALL: 2,
}
OF_DATABASE = frozenset({Kind.KILL_DATABASE, Kind.FREEZE_DATABASE})
OF_NODE = frozenset({Kind.KILL_AGENT, Kind.KILL_RUNNER, Kind.KILL_NODE, Kind.FREEZE_AGENT, Kind.FREEZE_RUNNER})
OF_ADMIN = frozenset({Kind.KILL_ADMIN, Kind.FREEZE_ADMIN})
SHORTEST_FREEZE, LONGEST_FREEZE = 0.5, 20.0
SHORTEST_REST, LONGEST_REST = 0.1, 4.0
_LONG_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault. Times in seconds."""

    at: float
    """Since the run began."""
    kind: Kind
    target: str = ""
    """The node or admin; empty when `pick` chooses."""
    pick: float = 0.0
    """Which of the clients or connections that are there: from 0 to below 1."""
    seconds: float
    """How long it is frozen or stalled, or how long its supervisor waits before it starts it again."""

    def __str__(self) -> str:
        whom = self.target or (f"#{self.pick:.2f}" if self.kind not in OF_DATABASE else "")
        return f"{self.at:7.2f} {self.kind} {whom} for {self.seconds:.1f} s"


def schedule(
    seed: int, *, seconds: float, nodes: Sequence[str], admins: Sequence[str], has_server: bool, per_second: float = 1.0
) -> list[Fault]:
    """The faults of a run in their order; `has_server` tells whether the database is a process of its own."""
    rng = random.Random(f"{seed}/faults")
    kinds = [kind for kind in WEIGHTS if has_server or kind not in OF_DATABASE]
    found: list[Fault] = []
    at = rng.expovariate(per_second)
    while at < seconds:
        kind = rng.choices(kinds, [WEIGHTS[item] for item in kinds])[0]
        target = rng.choice(nodes) if kind in OF_NODE else rng.choice(admins) if kind in OF_ADMIN else ""
        found.append(Fault(at=at, kind=kind, target=target, pick=rng.random(), seconds=_span(rng, kind)))
        at += rng.expovariate(per_second)
    return found


def _span(rng: random.Random, kind: Kind) -> float:
    """Mostly short; sometimes so long that whoever waits gives up."""
    if kind.value.startswith("kill"):
        return min(LONGEST_REST, SHORTEST_REST + rng.expovariate(1.0))
    if rng.random() < _LONG_SHARE:
        return rng.uniform(LONGEST_FREEZE / 2, LONGEST_FREEZE)
    return min(LONGEST_FREEZE, SHORTEST_FREEZE + rng.expovariate(1 / 3.0))
