"""Letting one key in to one node for a short time, and the host keys by which a node is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy.orm import Session

from edge_server.audit.service import Origin, change_of_node, record
from edge_server.db.database import Database
from edge_server.db.shared_transactions import Batches
from edge_server.nodes.domain import NodeId, NodeIdentity, Place, SelectedNode
from edge_server.nodes.places import place_of
from edge_server.nodes.selection import find_selected
from edge_server.principals.domain import Caller
from edge_server.sessions.registry import SessionRegistry
from edge_server.sessions.whereabouts import require_not_elsewhere
from edge_server.ssh import repository
from edge_server.ssh.accounts import wanted_of
from edge_server.ssh.domain import ADMISSION_LASTS, LONGEST_ADMISSION, check_account_name
from edge_server.ssh.keys import parse_public_key
from edge_server.ssh.models import SshAdmissionRow, SshHostRow
from edge_wire.errors import InvalidValue, NodeNotFound, NodeOffline, SshUnsupported, SshUserDenied, SshUserInvalid
from edge_wire.names import dns_name

_KEYS_LIMIT = 8
_KEY_LENGTH = 2048


@dataclass(frozen=True, kw_only=True)
class Host:
    """A node as an SSH server."""

    node: SelectedNode
    dns_name: str
    host_keys: Sequence[str]
    own_account: str


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """A key may log in."""

    host: Host
    user: str
    expires_at: datetime


def _known_hosts(tx: Session, node_ids: Sequence[NodeId]) -> list[SshHostRow | None]:
    found = repository.find_hosts(tx, node_ids)
    return [found.get(node_id) for node_id in node_ids]


class Admissions:
    """Admits keys and knows hosts."""

    def __init__(self, *, db: Database, registry: SessionRegistry, admin_id: str, now: Callable[[], datetime]) -> None:
        self._db = db
        self._known: Batches[NodeId, SshHostRow | None] = Batches(db.read, _known_hosts)
        self._registry = registry
        self._admin_id = admin_id
        self._now = now

    async def learn(self, node: NodeIdentity, *, host_keys: Sequence[str], own_account: str) -> None:
        """A node says by which keys it is known. Raises DatabaseUnavailable."""
        keys = [
            key for key in host_keys[:_KEYS_LIMIT] if len(key) <= _KEY_LENGTH and key.isascii() and key.isprintable()
        ]
        now, own_account = self._now(), own_account[:64]
        known = await self._known.ask(node.id)
        if known is not None and (known.host_keys, known.own_account) == (keys, own_account):
            return

        def work(tx: Session) -> None:
            row = repository.find_host(tx, node.id)
            if row is None:
                tx.add(SshHostRow(node_id=node.id, host_keys=keys, own_account=own_account, changed_at=now))
                return
            if row.host_keys != keys:
                origin = Origin(id=node.id, name=node.name, request_id="", peer="")
                record(tx, origin, change_of_node("ssh.host_keys_changed", node, {}), now)
                row.host_keys, row.changed_at = keys, now
            row.own_account = own_account

        await self._db.write(work)

    async def host(self, caller: Caller, reference: str) -> Host:
        """The host keys of a node. Raises NodeNotFound, NodeAmbiguous, SshUnsupported."""
        return await self._db.read(lambda tx: _host(tx, caller, reference))

    async def admit(
        self, caller: Caller, *, reference: str, user: str, public_key: str, valid_for: timedelta
    ) -> Admitted:
        """Let a key in. Raises NodeNotFound, NodeAmbiguous, NodeOffline, NodeOnOtherAdmin, SshUnsupported,
        SshKeyInvalid, SshUserInvalid, SshUserDenied, InvalidValue."""
        key = parse_public_key(public_key)
        valid_for = valid_for or ADMISSION_LASTS
        if not timedelta(0) < valid_for <= LONGEST_ADMISSION:
            raise InvalidValue(f"a key is let in for at most {int(LONGEST_ADMISSION.total_seconds())} seconds")
        host = await self._db.read(lambda tx: self._reachable_host(tx, caller, reference))
        self._require_server(host)
        if not user and not host.own_account:
            raise SshUserInvalid(f"{host.node.name} has not said as whom its agent runs", hint="edgectl ssh USER@NODE")
        name = check_account_name(user or host.own_account)
        now = self._now()

        def work(tx: Session) -> Admitted:
            local_account, user_id = _local_account(tx, host, name, now)
            row = SshAdmissionRow(
                id=str(uuid4()),
                node_id=host.node.id,
                user_name=name,
                user_id=user_id,
                local_account=local_account,
                fingerprint=key.fingerprint,
                principal_id=caller.principal.id,
                principal_name=caller.principal.name,
                created_at=now,
                expires_at=now + valid_for,
            )
            tx.add(row)
            details = {"user": name, "local_account": row.local_account, "fingerprint": key.fingerprint}
            record(tx, caller, change_of_node("ssh.admit", host.node, details), now)
            return Admitted(host=host, user=name, expires_at=row.expires_at)

        return await self._db.write(work)

    def _reachable_host(self, tx: Session, caller: Caller, reference: str) -> Host:
        host = _host(tx, caller, reference)
        require_not_elsewhere(tx, [host.node], admin_id=self._admin_id, now=self._now())
        return host

    def _require_server(self, host: Host) -> None:
        session = self._registry.find(host.node.id)
        if session is None:
            raise NodeOffline(f"{host.node.name} is offline")
        if not session.has_ssh:
            raise SshUnsupported(f"{host.node.name} has its SSH server switched off", hint=_HOW_TO_SWITCH_ON)


_HOW_TO_SWITCH_ON = "on the node: SSH_SERVER=on, or an update of edge-agent"


def _host(tx: Session, caller: Caller, reference: str) -> Host:
    node = find_selected(tx, caller.principal, reference)
    row = repository.find_host(tx, node.id)
    if row is None or not row.host_keys:
        raise SshUnsupported(f"{node.name} has never said that it has an SSH server", hint=_HOW_TO_SWITCH_ON)
    place = _place(tx, node.id)
    name = dns_name(node_id=node.id, first_alias=next(iter(place.aliases), None), cluster=node.cluster_name)
    return Host(node=node, dns_name=name, host_keys=row.host_keys, own_account=row.own_account)


def _place(tx: Session, node_id: NodeId) -> Place:
    place = place_of(tx, node_id)
    if place is None:
        raise NodeNotFound
    return place


def _local_account(tx: Session, host: Host, name: str, now: datetime) -> tuple[str, str | None]:
    """Of the account for SSH of this name that is good on the node, or else the node's own account of this name.

    Whoever may admit may run commands as any local account. Raises SshUserDenied for one that has expired.
    """
    row = repository.find_user(tx, name)
    if row is None or not wanted_of(row).hold(_place(tx, host.node.id)):
        return name, None
    if row.expires_at is not None and row.expires_at <= now:
        raise SshUserDenied(f"the account for SSH {name} has expired", hint=f"edgectl ssh-user show {name}")
    return row.local_account, row.id
