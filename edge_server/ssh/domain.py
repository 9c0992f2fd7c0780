"""Accounts for SSH: on which nodes they are good, and who may log in with what. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from edge_server.nodes.domain import Place, Reference, parse_reference
from edge_server.nodes.expressions import (
    CommandNodes,
    Names,
    Requirement,
    evaluate,
    parse_expression,
    parse_requirements,
)
from edge_server.ssh.keys import may_come_from
from edge_wire.errors import SelectorInvalid, SshUserInvalid
from edge_wire.names import quoted

ADMISSION_LASTS = timedelta(minutes=2)
LONGEST_ADMISSION = timedelta(hours=1)
LONGEST_LIFE = timedelta(days=3650)
LIST_LIMIT = 100
"""Programs and forwardings that are kept of one session."""

_ACCOUNT = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")


class Proof(StrEnum):
    """How somebody proves who they are."""

    PUBLIC_KEY = "publickey"
    PASSWORD = "password"  # noqa: S105  # the word, not a secret


@dataclass(frozen=True, kw_only=True)
class NodesWanted:
    """The nodes that an account is good on; what a selector of the same fields says, asked of one node at a time."""

    nodes: Sequence[str] = ()
    clusters: Sequence[str] = ()
    labels: Sequence[str] = ()
    exclude: Sequence[str] = ()
    scope: Sequence[str] | None = None
    """Ids of clusters beyond which it never reaches; None for the whole installation."""

    def check(self) -> None:
        """Raise SelectorInvalid when it could never be asked."""
        for text in (*self.nodes, *self.exclude):
            if any(isinstance(term.nodes, CommandNodes) for term in parse_expression(text, ())):
                raise SelectorInvalid(f"{quoted(text)}: an account cannot hang on the outcomes of a command")
        parse_requirements(self.labels)

    def hold(self, place: Place) -> bool:
        """Whether this node is one of them."""
        if self.scope is not None and place.cluster_id not in self.scope:
            return False
        is_named = place.cluster_name in self.clusters or any(_is_in(text, place) for text in self.nodes)
        if (self.nodes or self.clusters) and not is_named:
            return False
        requirements: list[Requirement] = parse_requirements(self.labels)
        has_labels = all(requirement.holds(place.labels.get(requirement.name)) for requirement in requirements)
        return has_labels and not any(_is_in(text, place) for text in self.exclude)


def _is_in(expression: str, place: Place) -> bool:
    def nodes_of(part: Names | CommandNodes) -> set[str]:
        names = part.references if isinstance(part, Names) else ()
        return {place.id} if any(_is_meant(parse_reference(name), place) for name in names) else set()

    return place.id in evaluate(parse_expression(expression, ()), nodes_of)


def _is_meant(reference: Reference, place: Place) -> bool:
    if reference.cluster not in {None, place.cluster_name}:
        return False
    # A prefix may fit another node tomorrow: an account hangs on whole ids and on aliases only.
    return reference.alias in place.aliases or reference.text == place.id or reference.id_prefix == place.id


@dataclass(frozen=True, kw_only=True)
class Deeds:
    """What was done in a session, as its node says."""

    programs: Sequence[str] = ()
    forwardings: Sequence[str] = ()
    is_cut: bool = False
    bytes_received: int = 0
    bytes_sent: int = 0

    def to_json(self) -> dict[str, Any]:
        """The lists, as they are stored."""
        return {"programs": list(self.programs), "forwardings": list(self.forwardings), "is_cut": self.is_cut}


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account for SSH."""

    id: str
    name: str
    wanted: NodesWanted
    local_account: str
    password_hash: str | None
    expires_at: datetime | None

    def is_good(self, place: Place, now: datetime) -> bool:
        """Whether it may be used on this node now."""
        return not _is_over(self.expires_at, now) and self.wanted.hold(place)


@dataclass(frozen=True, kw_only=True)
class AccountKey:
    """A key of an account."""

    id: str
    sources: Sequence[str]
    expires_at: datetime | None

    def is_good(self, address: str, now: datetime) -> bool:
        """Whether it may be used from there now."""
        return not _is_over(self.expires_at, now) and may_come_from(self.sources, address)


@dataclass(frozen=True, kw_only=True)
class Admission:
    """One key that was let in for one node and user."""

    id: str
    local_account: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class Login:
    """A login that may happen."""

    local_account: str
    credential_id: str
    """`key/ID`, `user/ID` or `admission/ID`: what its session hangs on."""
    expires_at: datetime | None = None
    """When the credential stops letting in."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Somebody at the door of a node."""

    place: Place
    address: str
    now: datetime


def by_key(
    attempt: Attempt, account: Account | None, keys: Sequence[AccountKey], admission: Admission | None
) -> Login | None:
    """What a key opens: the account it belongs to, or what it was let in for."""
    if account is not None and account.is_good(attempt.place, attempt.now):
        for key in keys:
            if key.is_good(attempt.address, attempt.now):
                ends = [end for end in (account.expires_at, key.expires_at) if end is not None]
                return Login(
                    local_account=account.local_account,
                    credential_id=f"key/{key.id}",
                    expires_at=min(ends, default=None),
                )
    if admission is not None and not _is_over(admission.expires_at, attempt.now):
        return Login(local_account=admission.local_account, credential_id=f"admission/{admission.id}")
    return None


def by_password(attempt: Attempt, account: Account | None, *, is_right: bool) -> Login | None:
    """What a password opens."""
    if account is None or not is_right or not account.is_good(attempt.place, attempt.now):
        return None
    return Login(local_account=account.local_account, credential_id=f"user/{account.id}")


def is_account_name(name: str) -> bool:
    """Whether an account, central or local, may be called this."""
    return _ACCOUNT.fullmatch(name) is not None


def check_account_name(name: str, what: str = "an account name") -> str:
    """The name, or SshUserInvalid."""
    if not is_account_name(name):
        raise SshUserInvalid(
            f"{quoted(name)} is not {what}: a lower-case letter or _, then at most 31 lower-case letters, digits,"
            " '_', '-', '.'"
        )
    return name


def _is_over(expires_at: datetime | None, now: datetime) -> bool:
    return expires_at is not None and expires_at <= now
