"""The parts of SSH in an admin, put together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from edge_server.db.database import Database
from edge_server.sessions.dialling import NodeDialler
from edge_server.sessions.registry import SessionRegistry
from edge_server.ssh.accounts import AccountService
from edge_server.ssh.admissions import Admissions
from edge_server.ssh.link import SshLink
from edge_server.ssh.logins import Logins
from edge_server.ssh.passwords import Passwords
from edge_server.ssh.records import SessionRecords
from edge_wire.limiter import FailureLimiter


class Ssh:
    """Accounts, admissions, logins and sessions."""

    def __init__(
        self,
        *,
        db: Database,
        registry: SessionRegistry,
        dialler: NodeDialler,
        admin_id: str,
        now: Callable[[], datetime],
    ) -> None:
        self.passwords = Passwords()
        self.admissions = Admissions(db=db, registry=registry, admin_id=admin_id, now=now)
        self.logins = Logins(db=db, passwords=self.passwords, limiter=FailureLimiter(), now=now)
        self.link = SshLink(registry=registry, dialler=dialler, logins=self.logins, admissions=self.admissions, now=now)
        self.records = SessionRecords(
            db=db,
            own_nodes=lambda: [session.node.id for session in registry],
            end_sessions=self.link.end_sessions,
            now=now,
        )
        self.link.records = self.records
        self.accounts = AccountService(db=db, passwords=self.passwords, after_delete=self.link.revoked, now=now)

    async def stop(self) -> None:
        """Finish what was begun."""
        await self.link.stop()
