"""What the operators ask for, derived from the seed alone. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tests.chaos.payload import Ending

Offline = Literal["fail", "skip", "queue"]

SIGNALS = ("SIGKILL", "SIGTERM", "SIGUSR1")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One command as an operator means it. Durations in seconds; 0 or None: without."""

    token: str
    nodes: tuple[str, ...]
    seconds: float
    """How long the process takes."""
    ending: Ending
    output_bytes: int = 0
    stdin_bytes: int = 0
    timeout: float | None = None
    deadline: float | None = None
    offline: Offline = "fail"
    expires: float | None = None
    """Only with `queue`."""
    batch: int | None = None
    fanout: int | None = None
    max_errors: int | None = None
    cancel_after: float | None = None
    is_detached: bool = False
    """The operator asks and leaves."""
    pause: float = 0.0
    """Before it is asked for."""
    admin: int = 0
    """Which admin is asked first."""

    @property
    def is_one_node(self) -> bool:
        return len(self.nodes) == 1


def wishes(seed: int, operator: str, nodes: Sequence[str], *, brings_stdin: bool) -> Iterator[Wish]:
    """What one operator asks for, without end; the same for the same seed."""
    rng = random.Random(f"{seed}/{operator}")
    number = 0
    while True:
        number += 1
        wish = _wish(rng, f"{operator}-{number:04}", nodes)
        yield wish if brings_stdin and not wish.is_detached else replace(wish, stdin_bytes=0)


def narrowed(wish: Wish, attempt: int) -> Wish:
    """The same on half of the nodes and at another admin: when another admin has some of their sessions."""
    count = max(1, len(wish.nodes) >> ((attempt + 1) // 2))
    return replace(wish, token=f"{wish.token}.{attempt}", nodes=wish.nodes[:count], admin=wish.admin + attempt)


def _wish(rng: random.Random, token: str, nodes: Sequence[str]) -> Wish:
    offline = rng.choices(("fail", "skip", "queue"), (5, 1, 5))[0]
    chosen = tuple(rng.sample(nodes, rng.choice((1, 1, 2, 3, max(1, len(nodes) // 2)))))
    seconds = round(min(8.0, rng.expovariate(1 / 1.2)), 2)
    is_paced = len(chosen) > 2 and rng.random() < 0.4
    return Wish(
        token=token,
        nodes=chosen,
        seconds=seconds,
        ending=_ending(rng),
        output_bytes=rng.choices((0, 1_000, 50_000, 400_000), (6, 4, 2, 1))[0],
        stdin_bytes=rng.choices((0, 10_000, 600_000), (10, 2, 1))[0],
        timeout=round(rng.uniform(0.3, 3.0), 2) if rng.random() < 0.2 else None,
        deadline=round(rng.uniform(1.0, 6.0), 2) if rng.random() < 0.08 else None,
        offline=offline,  # type: ignore[arg-type]  # choices() forgets the literals
        expires=round(rng.uniform(0.5, 5.0), 2) if offline == "queue" and rng.random() < 0.2 else None,
        batch=rng.randint(1, 3) if is_paced else None,
        fanout=rng.randint(1, 3) if rng.random() < 0.15 else None,
        max_errors=rng.randint(0, 2) if is_paced and rng.random() < 0.6 else None,
        cancel_after=round(rng.uniform(0.0, 2.0), 2) if rng.random() < 0.15 else None,
        is_detached=rng.random() < 0.2,
        pause=round(rng.uniform(0.0, 0.6), 2),
        admin=rng.randint(0, 1),
    )


def _ending(rng: random.Random) -> Ending:
    kind = rng.random()
    if kind < 0.6:
        return Ending(exit_code=0)
    if kind < 0.85:
        return Ending(exit_code=rng.randint(1, 125))
    return Ending(signal=rng.choice(SIGNALS))
