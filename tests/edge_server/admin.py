"""An admin's half of commands without a network, over two nodes in two clusters."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from edge_server.audit.models import AuditRow
from edge_server.commands.dispatcher import Dispatcher
from edge_server.commands.models import CommandRow, ExecutionRow
from edge_server.commands.reconciler import Reconciler
from edge_server.commands.recorder import Recorder
from edge_server.commands.service import CommandService
from edge_server.commands.stdin_spool import Spools
from edge_server.db.database import Database
from edge_server.encryption import KEY_BYTES, Cipher
from edge_server.sessions.registry import SessionRegistry
from tests.edge_server.fleet import WallClock, a_caller, add_cluster, add_node

CIPHER = Cipher([b"k" * KEY_BYTES])
IN_OSLO = a_caller(clusters=["id-of-oslo"])
IN_BERGEN = a_caller(clusters=["id-of-bergen"])


def add_two_nodes(tx: Session) -> None:
    """web1 in oslo and db1 in bergen."""
    add_cluster(tx, "oslo")
    add_cluster(tx, "bergen")
    add_node(tx, "oslo", "aaaa1", "web1")
    add_node(tx, "bergen", "bbbb1", "db1")


class Admin:
    """An admin's commands without a network: no node has a session, and for now every node may still come back."""

    def __init__(self, db: Database) -> None:
        self.db, self.now, clock = db, WallClock(), asyncio.get_running_loop().time
        self.recorder = Recorder(db=db, now=self.now)
        self.dispatcher = Dispatcher(
            registry=SessionRegistry(),
            recorder=self.recorder,
            spools=Spools(Path("/nonexistent")),
            held_elsewhere=None,
            reconnect_grace=timedelta(0),
            now=self.now,
            clock=clock,
        )
        self.reconciler = Reconciler(
            db=db, dispatcher=self.dispatcher, cipher=CIPHER, admin_id="admin-1", now=self.now, clock=clock
        )
        self.commands = CommandService(
            db=db,
            dispatcher=self.dispatcher,
            reconciler=self.reconciler,
            cipher=CIPHER,
            admin_id="admin-1",
            now=self.now,
        )

    async def count(self, table: type[CommandRow | ExecutionRow | AuditRow]) -> int:
        """How many rows a table has."""
        return await self.db.read(lambda tx: tx.scalar(select(func.count()).select_from(table)) or 0)

    async def end_grace(self) -> None:
        """From now on a node without a session is offline."""
        await self.dispatcher.tick()
