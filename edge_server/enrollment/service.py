"""Managing enrollment keys, and making nodes of agents that hold one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from edge_server.audit.service import Change, Origin, record
from edge_server.clusters.service import find_visible_cluster, lock_cluster, names_by_id
from edge_server.db.database import Database
from edge_server.enrollment import domain, repository
from edge_server.enrollment.domain import EnrollmentKey
from edge_server.enrollment.models import EnrollmentKeyRow
from edge_server.nodes.domain import NodeIdentity
from edge_server.nodes.enrolled import NewNode, find_by_key_pair, insert_node
from edge_server.principals.domain import Caller
from edge_wire import certificates, credentials
from edge_wire.certificates import Authority
from edge_wire.errors import EnrollmentKeyInvalid, EnrollmentKeyNotFound, EnrollmentKeySpent, InvalidValue
from edge_wire.names import check_labels, quoted

ID_PREFIX_LENGTH = 4
_LONGEST_LIFE = timedelta(days=3650)


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """What an operator asks for."""

    cluster_name: str
    uses: int | None
    expires_in: timedelta | None
    labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Application:
    """What an agent asks with."""

    key_id: str
    nonce: bytes
    certificate_request: bytes
    token_hash: bytes
    signature: bytes
    facts: Mapping[str, Any]
    agent_version: str
    alias: str
    labels: Mapping[str, str]
    request_id: str = ""
    peer: str = ""


@dataclass(frozen=True, kw_only=True)
class Enrolled:
    """What the agent gets."""

    node: NodeIdentity
    certificate: bytes
    is_new: bool


class EnrollmentService:
    """Enrollment keys and enrolling."""

    def __init__(self, *, db: Database, authority: Authority, now: Callable[[], datetime]) -> None:
        self._db = db
        self._authority = authority
        self._now = now

    async def list_all(self, caller: Caller, cluster_name: str) -> list[EnrollmentKey]:
        """Keys in the caller's scope, newest first."""

        def work(tx: Session) -> list[EnrollmentKey]:
            ids = caller.principal.cluster_ids
            if cluster_name:
                ids = frozenset({find_visible_cluster(tx, caller.principal, cluster_name).id})
            return _to_keys(tx, repository.list_all(tx, ids))

        return await self._db.read(work)

    async def get(self, caller: Caller, reference: str) -> EnrollmentKey:
        """One key. Raises EnrollmentKeyNotFound."""
        return await self._db.read(lambda tx: _to_keys(tx, [_find_one(tx, caller, reference)])[0])

    async def create(self, caller: Caller, wish: NewKey) -> tuple[EnrollmentKey, bytes]:
        """A new key and its nonce, which is kept nowhere. Raises ClusterNotFound, LabelInvalid."""
        nonce = secrets.token_bytes(credentials.NONCE_BYTES)
        now = self._now()
        labels = check_labels(wish.labels)
        expires_at = domain.expiry(_bounded(wish.expires_in), now)
        domain.check_uses(wish.uses)

        def work(tx: Session) -> EnrollmentKey:
            cluster = find_visible_cluster(tx, caller.principal, wish.cluster_name)
            row = EnrollmentKeyRow(
                id=str(uuid4()),
                cluster_id=cluster.id,
                nonce_hash=_hash_nonce(nonce),
                uses_left=domain.uses(wish.uses),
                labels=labels,
                expires_at=expires_at,
                created_at=now,
            )
            tx.add(row)
            self._record(tx, caller, "enroll_key.create", row)
            return _to_keys(tx, [row])[0]

        return await self._db.write(work), nonce

    async def update(
        self, caller: Caller, reference: str, *, uses: int | None, expires_in: timedelta | None
    ) -> EnrollmentKey:
        """Other uses or expiry; None keeps. Raises EnrollmentKeyNotFound, InvalidValue."""
        domain.check_uses(uses)

        def work(tx: Session) -> EnrollmentKey:
            row = _find_one(tx, caller, reference)
            if uses is not None:
                row.uses_left = domain.uses(uses)
            if expires_in is not None:
                row.expires_at = domain.expiry(_bounded(expires_in), self._now())
            self._record(tx, caller, "enroll_key.update", row)
            return _to_keys(tx, [row])[0]

        return await self._db.write(work)

    async def delete(self, caller: Caller, reference: str) -> None:
        """Delete a key; its nodes stay. Raises EnrollmentKeyNotFound."""

        def work(tx: Session) -> None:
            row = _find_one(tx, caller, reference)
            self._record(tx, caller, "enroll_key.delete", row)
            tx.delete(row)

        await self._db.write(work)

    async def enroll(self, application: Application) -> Enrolled:
        """Make a node of an agent; the same key pair again is the same node and spends nothing.

        Raises EnrollmentKeyInvalid, EnrollmentKeyExpired, EnrollmentKeySpent, EnrollmentProofInvalid, NodeLimitReached.
        """
        public_key = certificates.verify_enrollment(
            nonce=application.nonce,
            token_hash=application.token_hash,
            certificate_request=application.certificate_request,
            signature=application.signature,
        )
        labels = check_labels(application.labels, agent=True)
        fingerprint = certificates.fingerprint(public_key)

        def work(tx: Session) -> Enrolled:
            key = _require_key(tx, application)
            if find_by_key_pair(tx, fingerprint, application.token_hash) is None:
                now = self._now()
                domain.require_usable(uses_left=key.uses_left, expires_at=key.expires_at, now=now)
                lock_cluster(tx, key.cluster_id)
            # Once more behind the lock: the same agent may have asked twice at once.
            known = find_by_key_pair(tx, fingerprint, application.token_hash)
            if known is not None:
                return Enrolled(node=known[0], certificate=known[1], is_new=False)
            if not repository.spend(tx, key.id, self._now()):
                raise EnrollmentKeySpent(hint="ask for a new one: edgectl enroll-key create")
            node_id = str(uuid4())
            certificate = certificates.sign_leaf(
                self._authority, role="node", subject_id=node_id, public_key=public_key
            )
            node = insert_node(
                tx,
                NewNode(
                    id=node_id,
                    cluster_id=key.cluster_id,
                    key_fingerprint=fingerprint,
                    token_hash=application.token_hash,
                    certificate=certificate,
                    facts=application.facts,
                    agent_version=application.agent_version,
                    alias=application.alias,
                    labels={**key.labels, **labels},
                ),
                self._now(),
            )
            change = Change(
                action="node.enroll",
                subject_id=node.id,
                subject_name=node.name,
                cluster=node.cluster_name,
            )
            origin = Origin(id=key.id, name="enrollment key", request_id=application.request_id, peer=application.peer)
            record(tx, origin, change, self._now())
            return Enrolled(node=node, certificate=certificate, is_new=True)

        try:
            return await self._db.write(work)
        except IntegrityError:
            # The same agent asked at the same time with a key of another cluster, which is another lock.
            return await self._db.write(work)

    def _record(self, tx: Session, caller: Caller, action: str, row: EnrollmentKeyRow) -> None:
        cluster = names_by_id(tx, [row.cluster_id])[row.cluster_id]
        details = {
            "uses": "unlimited" if row.uses_left is None else str(row.uses_left),
            "expires": row.expires_at.isoformat() if row.expires_at else "never",
        }
        record(tx, caller, Change(action=action, subject_id=row.id, cluster=cluster, details=details), self._now())


def _require_key(tx: Session, application: Application) -> EnrollmentKeyRow:
    row = repository.find(tx, application.key_id)
    if row is None or not credentials.is_same(row.nonce_hash, _hash_nonce(application.nonce)):
        raise EnrollmentKeyInvalid(hint="it may have been deleted; ask for a new one: edgectl enroll-key create")
    return row


def _hash_nonce(nonce: bytes) -> bytes:
    return credentials.hash_token(nonce.hex())


def _bounded(life: timedelta | None) -> timedelta | None:
    if life is not None and not timedelta(0) <= life <= _LONGEST_LIFE:
        raise InvalidValue(f"a key lives between 0 and {_LONGEST_LIFE.days} days")
    return life


def _find_one(tx: Session, caller: Caller, reference: str) -> EnrollmentKeyRow:
    found: Sequence[EnrollmentKeyRow] = []
    if len(reference) >= ID_PREFIX_LENGTH:
        found = repository.find_by_prefix(tx, reference, caller.principal.cluster_ids)
    if not found:
        raise EnrollmentKeyNotFound(f"there is no enrollment key {quoted(reference)}", hint="edgectl enroll-key list")
    if len(found) > 1:
        raise InvalidValue(f"{reference} fits several enrollment keys: give more of the id")
    return found[0]


def _to_keys(tx: Session, rows: Sequence[EnrollmentKeyRow]) -> list[EnrollmentKey]:
    clusters = names_by_id(tx, {row.cluster_id for row in rows})
    return [
        EnrollmentKey(
            id=row.id,
            cluster_name=clusters[row.cluster_id],
            uses_left=row.uses_left,
            expires_at=row.expires_at,
            labels=row.labels,
            created_at=row.created_at,
            last_used_at=row.last_used_at,
        )
        for row in rows
    ]
