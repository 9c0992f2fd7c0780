"""Whether a login on a node may happen: asked by the node on each attempt, answered from the database, recorded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from edge_server.audit.service import Change, Origin, change_of_node, record
from edge_server.db.database import Database
from edge_server.db.shared_transactions import SharedTransactions
from edge_server.nodes.domain import NodeIdentity, Place
from edge_server.nodes.places import place_of
from edge_server.principals.service import live_principals
from edge_server.ssh import domain, repository
from edge_server.ssh.accounts import wanted_of
from edge_server.ssh.domain import Account, AccountKey, Admission, Attempt, Login, Proof
from edge_server.ssh.keys import fingerprint_of
from edge_server.ssh.models import SshUserRow
from edge_server.ssh.passwords import Passwords
from edge_wire.errors import DatabaseUnavailable
from edge_wire.limiter import FailureLimiter
from edge_wire.names import bounded, is_storable
from edge_wire.tasks import OwnedTasks

log = logging.getLogger(__name__)

_TEXT_LIMIT = 64
_WAITING_LIMIT = 10_000
_RETRY_SECONDS = 1.0
_STOP_WITHIN = 5.0


@dataclass(frozen=True, kw_only=True)
class Question:
    """Somebody wants to log in to a node."""

    node: NodeIdentity
    user: str
    principal: str
    """Who opened the tunnel; empty for a connection to the node's own port. The node's word, as `address` is."""
    address: str
    proof: Proof
    key: bytes = b""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What the database has on a question."""

    place: Place | None
    account: Account | None
    keys: Sequence[AccountKey] = ()
    admission: Admission | None = None
    admitted_by: str = ""


class Logins:
    """Answers the questions of nodes."""

    def __init__(
        self, *, db: Database, passwords: Passwords, limiter: FailureLimiter, now: Callable[[], datetime]
    ) -> None:
        self._db = db
        self._passwords = passwords
        self._limiter = limiter
        self._now = now
        self._writes = SharedTransactions(db.write)
        self._unwritten = 0
        self._tasks = OwnedTasks(log, "attempts to log in are not in the audit log")

    async def decide(self, question: Question) -> Login | None:
        """The login, or None. Raises DatabaseUnavailable."""
        now = self._now()
        if any(self._limiter.is_blocked(source, now) for source in _guessers(question)):
            self._note(question, "too_many_attempts", now)
            return None
        try:
            known = await self._db.read(lambda tx: _look_up(tx, question, now))
        except DatabaseUnavailable:
            self.note_undecided(question)
            raise
        login = await self._judge(question, known, now)
        if login is None:
            for source in _guessers(question):
                self._limiter.count(source, now)
        self._note(question, "ok" if login else "refused", now, admitted_by=known.admitted_by if login else "")
        return login

    def note_undecided(self, question: Question) -> None:
        """Nobody could decide."""
        self._note(question, "undecided", self._now())

    async def stop(self) -> None:
        """Write what is noted, unless the database stays away, and let the threads go."""
        try:
            async with asyncio.timeout(_STOP_WITHIN):
                await self._tasks.finish()
        except TimeoutError:
            log.warning("%d attempts to log in are not in the audit log", self._unwritten)
        await self._tasks.stop()
        self._passwords.close()

    async def _judge(self, question: Question, known: _Known, now: datetime) -> Login | None:
        is_right = False
        if question.proof is Proof.PASSWORD:
            stored = known.account.password_hash if known.account else None
            is_right = await self._passwords.is_right(question.password, stored)
        if known.place is None:
            return None
        attempt = Attempt(place=known.place, address=question.address, now=now)
        if question.proof is Proof.PASSWORD:
            return domain.by_password(attempt, known.account, is_right=is_right)
        return domain.by_key(attempt, known.account, known.keys, known.admission)

    def _note(self, question: Question, outcome: str, now: datetime, *, admitted_by: str = "") -> None:
        if self._unwritten >= _WAITING_LIMIT:
            log.warning(
                "an attempt to log in is not in the audit log: too many wait", extra={"node": question.node.name}
            )
            return
        self._unwritten += 1
        self._tasks.spawn(self._write(_origin(question, admitted_by), _attempt(question, outcome), now))

    async def _write(self, origin: Origin, change: Change, now: datetime) -> None:
        while True:
            try:
                await self._writes.run(lambda tx: record(tx, origin, change, now))
            except DatabaseUnavailable as error:
                log.debug("an attempt to log in waits for the database: %s", error.message)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._unwritten -= 1
            return


def _guessers(question: Question) -> Sequence[str]:
    """Whose wrong passwords count together: where they come from, the node that asks, and the account.

    A client offers every key of its agent, so keys are no guessing. The address is the node's word.
    """
    if question.proof is not Proof.PASSWORD:
        return ()
    node = question.node.id
    return (f"from {node} {question.address}", f"node {node}", f"user {question.user}")


def _look_up(tx: Session, question: Question, now: datetime) -> _Known:
    place = place_of(tx, question.node.id)
    name = question.user
    row = repository.find_user(tx, name) if is_storable(name) else None
    account = _account(row) if row is not None else None
    if question.proof is Proof.PASSWORD or not is_storable(name):
        return _Known(place=place, account=account)
    fingerprint = fingerprint_of(question.key)
    keys = repository.find_keys(tx, row.id, fingerprint) if row is not None else ()
    admitted = repository.find_admission(tx, node_id=question.node.id, user_name=name, fingerprint=fingerprint, now=now)
    if admitted is not None and not live_principals(tx, {admitted.principal_id}):
        admitted = None
    return _Known(
        place=place,
        account=account,
        keys=[AccountKey(id=key.id, sources=key.sources, expires_at=key.expires_at) for key in keys],
        admission=None
        if admitted is None
        else Admission(id=admitted.id, local_account=admitted.local_account, expires_at=admitted.expires_at),
        admitted_by=admitted.principal_name if admitted is not None else "",
    )


def _account(row: SshUserRow) -> Account:
    return Account(
        id=row.id,
        name=row.name,
        wanted=wanted_of(row),
        local_account=row.local_account,
        password_hash=row.password_hash,
        expires_at=row.expires_at,
    )


def _origin(question: Question, admitted_by: str) -> Origin:
    who = admitted_by or question.principal
    return Origin(
        id="",
        name=bounded(who, _TEXT_LIMIT),
        request_id="",
        peer=bounded(question.address, _TEXT_LIMIT),
    )


def _attempt(question: Question, outcome: str) -> Change:
    details = {"user": bounded(question.user, _TEXT_LIMIT), "method": question.proof.value, "outcome": outcome}
    if question.key:
        details["fingerprint"] = fingerprint_of(question.key)
    return change_of_node("ssh.attempt", question.node, details)
