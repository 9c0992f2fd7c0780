"""What an agent's log tells of its sessions: when it had one, and how long it had none. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from tests.chaos.ledger import Session


def read_sessions(lines: Iterable[str]) -> list[Session]:
    """Every session in its order. One that a killed agent had ends, for its log, with the next word about another."""
    found: list[Session] = []
    since: datetime | None = None
    for line in lines:
        moment, message = _read(line)
        if moment is None or not message.startswith(("session opened", "no session")):
            continue
        if since is not None:
            found.append(Session(since=since, until=moment))
        since = moment if message == "session opened" else None
    return [*found, Session(since=since, until=None)] if since is not None else found


def longest_gap(sessions: Sequence[Session]) -> timedelta:
    """The longest time between two sessions."""
    pairs = pairwise(sessions)
    return max((after.since - before.until for before, after in pairs if before.until), default=timedelta())


def _read(line: str) -> tuple[datetime | None, str]:
    try:
        row = json.loads(line)
        return datetime.fromisoformat(row["time"]), str(row["message"])
    except (ValueError, KeyError, TypeError):
        return None, ""
