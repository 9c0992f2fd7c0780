"""What a run leaves behind to be judged: marks on nodes, rows, outputs, what clients were told, which runners died."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tests.chaos.payload import Mark
from tests.chaos.wishes import Wish


@dataclass(frozen=True, kw_only=True)
class End:
    """How an execution ended, as somebody was told."""

    outcome: str
    exit_code: int | None = None
    signal: str = ""


@dataclass(kw_only=True)
class Account:
    """Everything that one client did and was told about one wish."""

    wish: Wish
    answers: list[str] = field(default_factory=list)
    """Command ids that it was told, in order; more than one when it asked again."""
    created: int = 0
    """Answers that said that the request made the command, not an earlier one."""
    ends: dict[str, End] = field(default_factory=dict)
    """By node."""
    received: Counter[str] = field(default_factory=Counter)
    """Bytes of stdout, by node."""
    missed: Counter[str] = field(default_factory=Counter)
    """Bytes of stdout that it was told it will not get, by node."""
    errors: list[str] = field(default_factory=list)
    """Codes of errors."""
    exit_code: int | None = None
    """Of edgectl; None when it was no edgectl, or it was killed."""
    is_finished: bool = False
    """It heard the last word of the command."""
    is_cancelled: bool = False
    """It asked, or may have asked, for a cancel."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A row of `commands`."""

    id: str
    request_id: str
    created_at: datetime
    cancelled_at: datetime | None
    finished_at: datetime | None
    admin_id: str = ""
    """Which admin paces it."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """A row of `executions`."""

    id: str
    command_id: str
    node: str
    state: str
    outcome: str | None
    started: bool | None
    exit_code: int | None = None
    signal: str = ""
    ended_at: datetime | None = None
    truncated: bool = False
    stdout_bytes: int = 0
    error_code: str = ""


@dataclass(frozen=True, kw_only=True)
class Death:
    """A runner that was killed."""

    node: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Session:
    """A time in which an agent had a session with some admin, as the agent knows it."""

    since: datetime
    until: datetime | None
    """None: to the end of the run."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that the verdict is made from."""

    marks: Mapping[str, Sequence[Mark]]
    """By node."""
    commands: Sequence[Command]
    executions: Sequence[Execution]
    outputs: Mapping[str, Sequence[tuple[int, bytes]]]
    """By execution: the stored pieces of stdout with their offsets."""
    accounts: Sequence[Account]
    deaths: Sequence[Death]
    holders: Mapping[str, str] = field(default_factory=dict)
    """By node: which admin holds its session at the end; empty when none does."""
    sessions: Mapping[str, Sequence[Session]] = field(default_factory=dict)
    """By node."""
    waiting: Sequence[str] = ()
    """Tokens of clients that still wait although everything is over."""
    processes: Sequence[str] = ()
    """Processes of executions that still run, described."""
    journals: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By node: executions that its journal still holds."""
