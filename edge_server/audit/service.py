"""Recording what operators change, inside the transaction that changes it, and reading it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from sqlalchemy.orm import Session

from edge_server.audit import repository
from edge_server.audit.models import AuditRow
from edge_server.db.database import Database
from edge_server.principals.domain import Caller

DEFAULT_PAGE = 100
LARGEST_PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class Change:
    """What an operator did. `details` are small facts: never secrets, command text or output."""

    action: str
    """Noun and verb, such as `node.delete`."""
    subject_id: str
    subject_name: str = ""
    cluster: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


class NodeNamed(Protocol):
    """A node as audit rows name it."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def cluster_name(self) -> str: ...


def change_of_node(action: str, node: NodeNamed, details: Mapping[str, str]) -> Change:
    """Something was done to a node, or at it."""
    return Change(action=action, subject_id=node.id, subject_name=node.name, cluster=node.cluster_name, details=details)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Who changed something, when it was no principal: such as an agent that enrolls with a key."""

    id: str
    name: str
    request_id: str
    peer: str


def record(tx: Session, caller: Caller | Origin, change: Change, now: datetime) -> None:
    """Write the audit row of one change into its own transaction."""
    who = caller.principal if isinstance(caller, Caller) else caller
    repository.insert_row(
        tx,
        {
            "time": now,
            "principal_id": who.id,
            "principal_name": who.name,
            "action": change.action,
            "subject_id": change.subject_id,
            "subject_name": change.subject_name,
            "cluster": change.cluster,
            "details": dict(change.details),
            "request_id": caller.request_id,
            "peer": caller.peer,
        },
    )


class AuditService:
    """Reads the log."""

    def __init__(self, *, db: Database) -> None:
        self._db = db

    async def list_page(
        self, caller: Caller, *, before_id: int | None, action: str, page_size: int
    ) -> tuple[Sequence[AuditRow], int | None]:
        """A page of rows, newest first, and the id to continue before."""
        caller.principal.require_installation()
        limit = min(page_size or DEFAULT_PAGE, LARGEST_PAGE)
        rows = await self._db.read(
            lambda tx: repository.list_before(tx, before_id=before_id, action=action, limit=limit + 1)
        )
        page = rows[:limit]
        return page, page[-1].id if len(rows) > limit else None
