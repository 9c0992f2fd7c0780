"""Sessions as nodes report them: stored with their audit rows, listed, and ended when what they hang on is gone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy.orm import Session

from edge_server.audit.service import Origin, change_of_node, record
from edge_server.db.database import Database
from edge_server.db.shared_transactions import Batches
from edge_server.nodes.domain import NodeId, NodeIdentity
from edge_server.nodes.selection import find_selected
from edge_server.principals.domain import Caller
from edge_server.principals.service import live_principals
from edge_server.ssh import repository
from edge_server.ssh.domain import Deeds
from edge_server.ssh.models import SshSessionRow
from edge_wire.errors import InvalidValue, SshSessionNotFound
from edge_wire.names import bounded, is_storable, quoted

KEPT_FOR = timedelta(days=90)
OPEN_LIMIT = 1000
"""Sessions of one node that run: more than any node allows."""
DEFAULT_PAGE, LARGEST_PAGE = 100, 1000
_PREFIX_LENGTH = 4
_REMOVED_AT_ONCE = 200
_CLOCKS_APART = timedelta(minutes=1)
"""A session that began just now may not have been in what the node counted before."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """A connection has logged in."""

    session_id: str
    principal: str
    address: str
    user: str
    local_account: str
    method: str
    fingerprint: str
    credential_id: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A session is over."""

    session_id: str
    outcome: str
    deeds: Deeds
    has_recording: bool


@dataclass(frozen=True, kw_only=True)
class Failed:
    """Connections that never logged in."""

    address: str
    user: str
    reason: str
    count: int


Report = Started | Ended | Failed


class EndSessions(Protocol):
    """Tells a node which of its sessions are to end."""

    def __call__(self, node_id: NodeId, credential_ids: Collection[str]) -> None: ...


def _have_sessions(tx: Session, node_ids: Sequence[NodeId]) -> list[bool]:
    """Of each node whether a session is stored that is not over."""
    found = repository.find_nodes_with_sessions(tx, node_ids)
    return [node_id in found for node_id in node_ids]


class SessionRecords:
    """What was done over SSH."""

    def __init__(
        self,
        *,
        db: Database,
        own_nodes: Callable[[], Iterable[NodeId]],
        end_sessions: EndSessions,
        now: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._have_sessions: Batches[NodeId, bool] = Batches(db.read, _have_sessions)
        self._own_nodes = own_nodes
        self._end_sessions = end_sessions
        self._now = now

    async def store(self, node: NodeIdentity, reports: Sequence[Report]) -> None:
        """Store what a node reports, in its order, all or nothing. Raises DatabaseUnavailable."""
        now = self._now()

        def work(tx: Session) -> None:
            for report in reports:
                _store(tx, node, report, now)

        await self._db.write(work)

    async def compare(
        self, node: NodeIdentity, running: Mapping[str, str], remembered: Collection[str]
    ) -> Collection[str]:
        """A node says which sessions run (id → what it hangs on): others of its are over. Returns what of all that it
        names is gone, and so is to end. Raises DatabaseUnavailable."""
        now = self._now()
        named = {*running.values(), *remembered}
        if not named and not await self._have_sessions.ask(node.id):
            return ()

        def work(tx: Session) -> set[str]:
            repository.give_up_sessions(
                tx, node_id=node.id, running=list(running), began_before=now - _CLOCKS_APART, now=now
            )
            return named - _still_good(tx, named)

        return await self._db.write(work)

    async def end_revoked(self) -> None:
        """End the sessions on this admin's nodes whose key, account or principal is gone.

        Raises DatabaseUnavailable.
        """
        own = set(self._own_nodes())

        def work(tx: Session) -> dict[str, set[str]]:
            # Few nodes have a session at any moment: they are asked for, and not whether each of ours has one.
            by_node = {node_id: some for node_id, some in repository.open_credentials(tx).items() if node_id in own}
            good = _still_good(tx, {credential for some in by_node.values() for credential in some})
            return {node_id: some - good for node_id, some in by_node.items() if some - good}

        for node_id, gone in (await self._db.read(work)).items():
            self._end_sessions(NodeId(node_id), gone)

    async def remove_old(self) -> None:
        """Forget what is too old. Raises DatabaseUnavailable."""
        now = self._now()

        def work(tx: Session) -> int:
            repository.remove_admissions(tx, over_before=now - timedelta(days=1))
            return repository.remove_sessions(tx, ended_before=now - KEPT_FOR, limit=_REMOVED_AT_ONCE)

        while await self._db.write(work) == _REMOVED_AT_ONCE:
            pass

    async def list_some(
        self, caller: Caller, *, node: str, is_open: bool, before: str, limit: int
    ) -> Sequence[SshSessionRow]:
        """Sessions, newest first. Raises NodeNotFound, SshSessionNotFound, InvalidValue."""
        if limit > LARGEST_PAGE:
            raise InvalidValue(f"at most {LARGEST_PAGE} sessions at once")

        def work(tx: Session) -> Sequence[SshSessionRow]:
            return repository.list_sessions(
                tx,
                scope=caller.principal.cluster_ids,
                node_id=find_selected(tx, caller.principal, node).id if node else None,
                is_open=is_open,
                before=_find(tx, caller, before) if before else None,
                limit=limit or DEFAULT_PAGE,
            )

        return await self._db.read(work)

    async def get(self, caller: Caller, reference: str) -> SshSessionRow:
        """One session. Raises SshSessionNotFound, InvalidValue."""
        return await self._db.read(lambda tx: _find(tx, caller, reference))


def _find(tx: Session, caller: Caller, reference: str) -> SshSessionRow:
    word = reference.strip().lower()
    found: Sequence[SshSessionRow] = []
    if len(word) >= _PREFIX_LENGTH and is_storable(word):
        found = repository.find_sessions(tx, word, caller.principal.cluster_ids)
    if not found:
        raise SshSessionNotFound(f"there is no SSH session {quoted(reference)}", hint="edgectl ssh-session list")
    if len(found) > 1:
        raise InvalidValue(f"{reference} fits several sessions: give more of the id")
    return found[0]


def _store(tx: Session, node: NodeIdentity, report: Report, now: datetime) -> None:
    if isinstance(report, Started):
        _store_start(tx, node, report, now)
    elif isinstance(report, Ended):
        _store_end(tx, node, report, now)
    else:
        origin = _origin(principal="", address=report.address)
        details = {"user": bounded(report.user, 64), "reason": bounded(report.reason, 32), "count": str(report.count)}
        record(tx, origin, change_of_node("ssh.failed", node, details), now)


def _store_start(tx: Session, node: NodeIdentity, started: Started, now: datetime) -> None:
    values: dict[str, Any] = {
        "id": started.session_id,
        "node_id": node.id,
        "node_name": node.name,
        "cluster_id": node.cluster_id,
        "cluster_name": node.cluster_name,
        "principal_name": bounded(started.principal, 64),
        "address": bounded(started.address, 64),
        "user_name": bounded(started.user, 255),
        "local_account": bounded(started.local_account, 64),
        "method": bounded(started.method, 16),
        "fingerprint": bounded(started.fingerprint, 64),
        "credential_id": bounded(started.credential_id, 80),
        "started_at": now,
        "outcome": "open",
        "deeds": Deeds().to_json(),
        "bytes_received": 0,
        "bytes_sent": 0,
        "has_recording": False,
    }
    if repository.count_open(tx, node.id) >= OPEN_LIMIT or not repository.add_session(tx, values):
        return
    details = {
        "session": started.session_id,
        "user": values["user_name"],
        "local_account": values["local_account"],
        "method": values["method"],
    }
    origin = _origin(principal=started.principal, address=started.address)
    record(tx, origin, change_of_node("ssh.open", node, details), now)


def _store_end(tx: Session, node: NodeIdentity, ended: Ended, now: datetime) -> None:
    values: dict[str, Any] = {
        "ended_at": now,
        "outcome": bounded(ended.outcome, 32),
        "deeds": ended.deeds.to_json(),
        "bytes_received": ended.deeds.bytes_received,
        "bytes_sent": ended.deeds.bytes_sent,
        "has_recording": ended.has_recording,
    }
    row = repository.end_session(tx, session_id=ended.session_id, node_id=node.id, values=values)
    if row is None:
        return
    details = {
        "session": row.id,
        "user": row.user_name,
        "local_account": row.local_account,
        "outcome": row.outcome,
        "seconds": f"{(now - row.started_at).total_seconds():.1f}",
        "programs": "; ".join(ended.deeds.programs)[:1000],
        "forwardings": "; ".join(ended.deeds.forwardings)[:1000],
        "bytes_received": str(row.bytes_received),
        "bytes_sent": str(row.bytes_sent),
    }
    origin = _origin(principal=row.principal_name, address=row.address)
    record(tx, origin, change_of_node("ssh.close", node, details), now)


def _still_good(tx: Session, credential_ids: Collection[str]) -> set[str]:
    """Of what sessions hang on, what is still there."""
    by_kind: dict[str, set[str]] = {"key": set(), "user": set(), "admission": set()}
    for credential_id in credential_ids:
        kind, _, name = credential_id.partition("/")
        by_kind.get(kind, set()).add(name)
    good = {kind: repository.existing(tx, kind, ids) for kind, ids in by_kind.items() if ids}
    principals = repository.principals_of(tx, good.get("admission", ()))
    live = live_principals(tx, set(principals.values()))
    good["admission"] = {name for name, principal_id in principals.items() if principal_id in live}
    return {f"{kind}/{name}" for kind, names in good.items() for name in names}


def _origin(*, principal: str, address: str) -> Origin:
    return Origin(id="", name=bounded(principal, 64), request_id="", peer=bounded(address, 64))
