"""Managing accounts for SSH and their keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from edge_server.audit.service import Change, record
from edge_server.clusters.service import find_clusters
from edge_server.db.database import Database
from edge_server.principals.domain import Caller, Principal
from edge_server.ssh import repository
from edge_server.ssh.domain import LONGEST_LIFE, NodesWanted, check_account_name
from edge_server.ssh.keys import PublicKey, check_sources, parse_public_key
from edge_server.ssh.models import NAME_LENGTH, SshKeyRow, SshUserRow
from edge_server.ssh.passwords import Passwords
from edge_wire.errors import (
    InvalidValue,
    SshKeyExists,
    SshKeyInvalid,
    SshKeyNotFound,
    SshUserExists,
    SshUserNotFound,
)
from edge_wire.names import is_storable, printable, quoted

_SELECTOR_LIMIT = 16_384


@dataclass(frozen=True, kw_only=True)
class NewUser:
    """What an operator asks for."""

    name: str
    wanted: NodesWanted
    local_account: str
    password: str = field(repr=False)
    expires_in: timedelta | None


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """What an operator asks for."""

    user: str
    name: str
    public_key: str
    sources: Sequence[str]
    expires_in: timedelta | None


@dataclass(frozen=True, kw_only=True)
class User:
    """An account as it is shown."""

    row: SshUserRow
    key_count: int


class AccountService:
    """Accounts and keys. `after_delete` is told what went, on which sessions may hang."""

    def __init__(
        self,
        *,
        db: Database,
        passwords: Passwords,
        after_delete: Callable[[Collection[str]], None],
        now: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._passwords = passwords
        self._after_delete = after_delete
        self._now = now

    async def list_users(self, caller: Caller) -> list[User]:
        """The accounts that the caller may see."""

        def work(tx: Session) -> list[User]:
            counts = repository.count_keys(tx)
            rows = [row for row in repository.list_users(tx) if _may_see(caller.principal, row)]
            return [User(row=row, key_count=counts.get(row.id, 0)) for row in rows]

        return await self._db.read(work)

    async def get_user(self, caller: Caller, name: str) -> User:
        """One account. Raises SshUserNotFound."""

        def work(tx: Session) -> User:
            row = _find(tx, caller.principal, name)
            return User(row=row, key_count=len(repository.list_keys(tx, [row.id])))

        return await self._db.read(work)

    async def create_user(self, caller: Caller, wish: NewUser) -> User:
        """A new account. Raises SshUserExists, SshUserInvalid, ClusterNotFound, ScopeDenied, SelectorInvalid."""
        check_account_name(wish.name)
        if wish.local_account:
            check_account_name(wish.local_account, "the name of a local account")
        wish.wanted.check()
        _check_size(wish.wanted)
        expires_at = self._end(wish.expires_in)
        password_hash = await self._passwords.hash(wish.password) if wish.password else None
        now = self._now()

        def work(tx: Session) -> User:
            wanted = _within_scope(tx, caller.principal, wish.wanted)
            row = SshUserRow(
                id=str(uuid4()),
                name=wish.name,
                wanted=asdict(wanted),
                local_account=wish.local_account or wish.name,
                password_hash=password_hash,
                created_at=now,
                created_by=caller.principal.name,
                expires_at=expires_at,
            )
            tx.add(row)
            try:
                tx.flush()
            except IntegrityError:
                hint = "edgectl ssh-user list"
                raise SshUserExists(f"an account for SSH named {row.name} exists", hint=hint) from None
            details = {"local_account": row.local_account, "password": "yes" if password_hash else "no"}
            record(tx, caller, _change("ssh_user.create", row, details), now)
            return User(row=row, key_count=0)

        return await self._db.write(work)

    async def delete_user(self, caller: Caller, name: str) -> None:
        """Delete an account with its keys; its sessions end. Raises SshUserNotFound."""

        def work(tx: Session) -> Collection[str]:
            row = _find(tx, caller.principal, name)
            record(tx, caller, _change("ssh_user.delete", row, {}), self._now())
            keys = repository.list_keys(tx, [row.id])
            gone = [f"user/{row.id}", *(f"key/{key.id}" for key in keys)]
            gone += [f"admission/{admission_id}" for admission_id in repository.admissions_of(tx, row.id)]
            for key in keys:
                tx.delete(key)
            tx.flush()
            tx.delete(row)
            return gone

        self._after_delete(await self._db.write(work))

    async def list_keys(self, caller: Caller, user: str) -> list[tuple[str, SshKeyRow]]:
        """Name of the account and key, of one account or of all that the caller may see. Raises SshUserNotFound."""

        def work(tx: Session) -> list[tuple[str, SshKeyRow]]:
            if user:
                users = [_find(tx, caller.principal, user)]
            else:
                users = [row for row in repository.list_users(tx) if _may_see(caller.principal, row)]
            names = {row.id: row.name for row in users}
            found = [(names[key.user_id], key) for key in repository.list_keys(tx, names)]
            return sorted(found, key=lambda pair: (pair[0], pair[1].name))

        return await self._db.read(work)

    async def create_key(self, caller: Caller, wish: NewKey) -> tuple[str, SshKeyRow]:
        """A new key. Raises SshUserNotFound, SshKeyExists, SshKeyInvalid."""
        key = parse_public_key(wish.public_key)
        sources = check_sources(wish.sources)
        name = _key_name(wish.name, key)
        expires_at = self._end(wish.expires_in)
        now = self._now()

        def work(tx: Session) -> tuple[str, SshKeyRow]:
            user = _find(tx, caller.principal, wish.user)
            row = SshKeyRow(
                id=str(uuid4()),
                user_id=user.id,
                name=name,
                public_key=key.line,
                fingerprint=key.fingerprint,
                sources=sources,
                created_at=now,
                expires_at=expires_at,
            )
            tx.add(row)
            try:
                tx.flush()
            except IntegrityError:
                message = f"{user.name} has this key already, or another one named {name}"
                raise SshKeyExists(message, hint=f"edgectl ssh-key list {user.name}") from None
            details = {"key": name, "fingerprint": key.fingerprint}
            record(tx, caller, _change("ssh_key.create", user, details), now)
            return user.name, row

        return await self._db.write(work)

    async def delete_key(self, caller: Caller, user: str, key: str) -> None:
        """Delete a key by name or fingerprint; its sessions end. Raises SshUserNotFound, SshKeyNotFound."""

        def work(tx: Session) -> Collection[str]:
            owner = _find(tx, caller.principal, user)
            found = [row for row in repository.list_keys(tx, [owner.id]) if key in {row.name, row.fingerprint}]
            if not found:
                hint = f"edgectl ssh-key list {owner.name}"
                raise SshKeyNotFound(f"{owner.name} has no key {quoted(key)}", hint=hint)
            tx.delete(found[0])
            details = {"key": found[0].name, "fingerprint": found[0].fingerprint}
            record(tx, caller, _change("ssh_key.delete", owner, details), self._now())
            return [f"key/{found[0].id}"]

        self._after_delete(await self._db.write(work))

    def _end(self, expires_in: timedelta | None) -> datetime | None:
        if not expires_in:
            return None
        if not timedelta(0) < expires_in <= LONGEST_LIFE:
            raise InvalidValue(f"it lives at most {LONGEST_LIFE.days} days; leave it out for no end")
        return self._now() + expires_in


def wanted_of(row: SshUserRow) -> NodesWanted:
    """The nodes that an account is good on."""
    return NodesWanted(**row.wanted)


def _may_see(principal: Principal, row: SshUserRow) -> bool:
    """Those within its own clusters; only the whole installation sees those that reach beyond."""
    if principal.cluster_ids is None:
        return True
    scope = row.wanted.get("scope")
    return scope is not None and set(scope) <= principal.cluster_ids


def _find(tx: Session, principal: Principal, name: str) -> SshUserRow:
    row = repository.find_user(tx, name) if is_storable(name) else None
    if row is None or not _may_see(principal, row):
        raise SshUserNotFound(f"there is no account for SSH named {quoted(name)}", hint="edgectl ssh-user list")
    return row


def _within_scope(tx: Session, principal: Principal, wanted: NodesWanted) -> NodesWanted:
    for cluster in find_clusters(tx, wanted.clusters) if wanted.clusters else ():
        principal.require_cluster(cluster.id, cluster.name)
    scope = None if principal.cluster_ids is None else sorted(principal.cluster_ids)
    return replace(wanted, scope=scope)


def _check_size(wanted: NodesWanted) -> None:
    size = sum(len(text) for text in (*wanted.nodes, *wanted.clusters, *wanted.labels, *wanted.exclude))
    if size > _SELECTOR_LIMIT:
        raise InvalidValue(f"the selector of an account has at most {_SELECTOR_LIMIT} characters")


def _key_name(wished: str, key: PublicKey) -> str:
    name = wished or printable(key.comment, NAME_LENGTH) or key.fingerprint
    if len(name) > NAME_LENGTH or printable(name) != name or not name.strip():
        raise SshKeyInvalid(f"{quoted(name)} is not a name of a key: at most {NAME_LENGTH} printable characters")
    return name


def _change(action: str, row: SshUserRow, details: Mapping[str, str]) -> Change:
    return Change(action=action, subject_id=row.id, subject_name=row.name, details=details)
