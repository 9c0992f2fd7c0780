"""Who calls, and managing tokens."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from edge_server.audit.service import Change, record
from edge_server.clusters.service import find_clusters, names_by_id
from edge_server.db.database import Database
from edge_server.principals import repository
from edge_server.principals.domain import Caller, Principal, PrincipalId, Role
from edge_server.principals.models import PrincipalRow
from edge_wire import credentials
from edge_wire.errors import CredentialExpired, InvalidValue, TokenExists, TokenNotFound, Unauthenticated
from edge_wire.names import check_alias, is_storable, quoted

ID_PREFIX_LENGTH = 4
MASTER = "master"
_BUILTIN = "builtin:"
MASTER_ID = PrincipalId(f"{_BUILTIN}{MASTER}")
"""Of the built-in principal whose token is MASTER_KEY."""
_LONGEST_LIFE = timedelta(days=3650)


@dataclass(frozen=True, kw_only=True)
class BuiltinKey:
    """A principal whose token comes from the settings."""

    principal: Principal
    token_hash: bytes


def builtin_keys(master_key: str, keys: Mapping[Role, str | None]) -> list[BuiltinKey]:
    """The built-in principals; MASTER_KEY comes first, so a key that defaults to it may do everything."""
    named = [(Role.ADMIN, MASTER, master_key)]
    named += [(role, f"{role.value}-key", key) for role, key in keys.items() if key]
    return [
        BuiltinKey(
            principal=Principal(id=PrincipalId(f"{_BUILTIN}{name}"), name=name, role=role),
            token_hash=credentials.hash_token(key),
        )
        for role, name, key in named
    ]


@dataclass(frozen=True, kw_only=True)
class NewToken:
    """What an operator asks for."""

    name: str
    role: Role
    cluster_names: Sequence[str]
    expires_in: timedelta | None


class PrincipalService:
    """Principals and their tokens."""

    def __init__(self, *, db: Database, builtins: Sequence[BuiltinKey], now: Callable[[], datetime]) -> None:
        self._db = db
        self._builtins = builtins
        self._now = now

    async def authenticate(self, token: str, now: datetime) -> Principal:
        """The principal of a token. Raises Unauthenticated, CredentialExpired."""
        token_hash = credentials.hash_token(token)
        for builtin in self._builtins:
            if credentials.is_same(builtin.token_hash, token_hash):
                return builtin.principal
        principal = await self._db.read(lambda tx: _find_by_token(tx, token_hash))
        if principal is None:
            raise Unauthenticated
        if principal.expires_at and principal.expires_at <= now:
            raise CredentialExpired(hint="ask for a new token and log in again")
        return principal

    async def list_all(self, caller: Caller) -> list[Principal]:
        """Every principal with a token, newest first."""
        caller.principal.require_installation()
        return await self._db.read(lambda tx: _to_principals(tx, repository.list_live(tx)))

    async def get(self, caller: Caller, reference: str) -> Principal:
        """One principal. Raises TokenNotFound, InvalidValue."""
        caller.principal.require_installation()
        return await self._db.read(lambda tx: _to_principals(tx, [_find_one(tx, reference)])[0])

    async def create(self, caller: Caller, wish: NewToken) -> tuple[Principal, str]:
        """A new principal and its token. Raises TokenExists, NameInvalid, ClusterNotFound."""
        caller.principal.require_installation()
        caller.principal.require_role_at_most(wish.role)
        check_alias(wish.name)
        if wish.expires_in is not None and not timedelta(0) <= wish.expires_in <= _LONGEST_LIFE:
            raise InvalidValue(f"a token lives at most {_LONGEST_LIFE.days} days; leave it out for no end")
        token = credentials.new_token("op")
        now = self._now()

        def work(tx: Session) -> Principal:
            cluster_ids = [row.id for row in find_clusters(tx, wish.cluster_names)]
            row = PrincipalRow(
                id=str(uuid4()),
                name=wish.name,
                role=wish.role,
                is_confined=bool(wish.cluster_names),
                token_hash=credentials.hash_token(token),
                created_at=now,
                expires_at=now + wish.expires_in if wish.expires_in else None,
            )
            _add(tx, row, cluster_ids)
            details = {"role": wish.role.value, "clusters": ",".join(wish.cluster_names)}
            record(tx, caller, _change("token.create", row, details), now)
            return _to_principals(tx, [row])[0]

        return await self._db.write(work), token

    async def delete(self, caller: Caller, reference: str) -> None:
        """Revoke one token. Raises TokenNotFound."""
        caller.principal.require_installation()

        def work(tx: Session) -> None:
            row = _find_one(tx, reference)
            repository.revoke(row, self._now())
            record(tx, caller, _change("token.delete", row, {}), self._now())

        await self._db.write(work)


def live_principals(tx: Session, ids: Collection[str]) -> set[str]:
    """Of these, those that were not revoked; the built-in ones never are."""
    builtin = {principal_id for principal_id in ids if principal_id.startswith(_BUILTIN)}
    return builtin | repository.list_live_ids(tx, set(ids) - builtin)


def _add(tx: Session, row: PrincipalRow, cluster_ids: Sequence[str]) -> None:
    try:
        repository.add(tx, row, cluster_ids)
    except IntegrityError:
        raise TokenExists(f"a token named {row.name} exists", hint="edgectl token list") from None


def _change(action: str, row: PrincipalRow, details: Mapping[str, str]) -> Change:
    return Change(action=action, subject_id=row.id, subject_name=row.name, details=details)


def _find_one(tx: Session, reference: str) -> PrincipalRow:
    found: Sequence[PrincipalRow] = []
    if is_storable(reference):
        found = repository.find_live(tx, reference, prefix_length=ID_PREFIX_LENGTH)
    if not found:
        raise TokenNotFound(f"there is no token {quoted(reference)}", hint="edgectl token list")
    if len(found) > 1:
        raise InvalidValue(f"{reference} fits several tokens: give more of the id")
    return found[0]


def _find_by_token(tx: Session, token_hash: bytes) -> Principal | None:
    row = repository.find_by_token_hash(tx, token_hash)
    return _to_principals(tx, [row])[0] if row else None


def _to_principals(tx: Session, rows: Sequence[PrincipalRow]) -> list[Principal]:
    cluster_ids = repository.list_cluster_ids(tx, [row.id for row in rows if row.is_confined])
    names = names_by_id(tx, {cluster_id for ids in cluster_ids.values() for cluster_id in ids})
    return [
        Principal(
            id=PrincipalId(row.id),
            name=row.name,
            role=row.role,
            cluster_ids=frozenset(cluster_ids[row.id]) if row.is_confined else None,
            cluster_names=tuple(sorted(names[cluster_id] for cluster_id in cluster_ids.get(row.id, ()))),
            created_at=row.created_at,
            expires_at=row.expires_at,
        )
        for row in rows
    ]
