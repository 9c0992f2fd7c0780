"""The database of a run: how admins are told of it, how it is broken, and its rows, read past the admins."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import psycopg

from tests.chaos import processes
from tests.chaos.ledger import Command, Execution
from tests.support.leftovers import unique_name
from tests.support.postgres import SCRATCH, PostgresServer, binaries, free_port, remove_abandoned, server_account

_COMMANDS = "SELECT id, request_id, created_at, cancelled_at, finished_at, admin_id FROM commands"
_EXECUTIONS = (
    "SELECT id, command_id, node_name, state, outcome, started, exit_code, signal, ended_at, truncated, stdout_bytes,"
    " error_code FROM executions"
)


class Server(Protocol):
    """What a database of a run can do."""

    name: str
    has_server: bool
    """Whether it is a process of its own that may be killed."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def settings(self) -> dict[str, str]: ...

    def query(self, statement: str) -> Sequence[Sequence[Any]]: ...


class Sqlite:
    """A file; what can be killed is the admin that has it open."""

    name = "sqlite"
    has_server = False

    def __init__(self, path: Path) -> None:
        self._path = path

    async def start(self) -> None:
        """Nothing is to be started."""

    async def stop(self) -> None:
        """Nothing is to be stopped."""

    def settings(self) -> dict[str, str]:
        """For the admin."""
        return {"DB_ADAPTER": "sqlite", "SQLITE_DB_PATH": str(self._path)}

    def query(self, statement: str) -> Sequence[Sequence[Any]]:
        """Rows as they are stored."""
        with closing(sqlite3.connect(self._path, timeout=10)) as connection:
            return connection.execute(statement).fetchall()


class Postgres:
    """The distribution's server, with fsync on, as processes that may be killed and frozen."""

    name = "postgres"
    has_server = True

    def __init__(self) -> None:
        programs = binaries()
        if programs is None:
            raise RuntimeError("PostgreSQL's server is not installed")
        account = server_account()
        remove_abandoned(programs, account)
        self._directory = SCRATCH / unique_name()
        self._directory.mkdir(mode=0o700)
        self._server = PostgresServer(binaries=programs, directory=self._directory, account=account, port=free_port())
        self._url = ""
        self._restart: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make it and an empty database in it. Raises RuntimeError when it would not survive a power cut."""
        await asyncio.to_thread(self._server.initialize)
        await asyncio.to_thread(self._server.start)
        self._url = self._server.url(await asyncio.to_thread(self._server.create_database))
        ((fsync,),), ((commit,),) = self.query("SHOW fsync"), self.query("SHOW synchronous_commit")
        if (fsync, commit) != ("on", "on"):
            raise RuntimeError(f"fsync is {fsync}, synchronous_commit is {commit}")

    async def stop(self) -> None:
        """Stop it and remove it."""
        if self._restart is not None:
            self._restart.cancel()
            await asyncio.gather(self._restart, return_exceptions=True)
        self.thaw(self.pids())
        with suppress(RuntimeError):
            await asyncio.to_thread(self._server.stop)
        processes.send(self.pids(), signal.SIGKILL)
        shutil.rmtree(self._directory, ignore_errors=True)

    def settings(self) -> dict[str, str]:
        """For the admins."""
        return {"DB_ADAPTER": "postgres", "DATABASE_URL": self._url.replace("+psycopg", "")}

    def query(self, statement: str) -> Sequence[Sequence[Any]]:
        """Rows as they are stored."""
        with psycopg.connect(self._url.replace("+psycopg", ""), connect_timeout=10) as connection:
            return connection.execute(statement.encode()).fetchall()

    def kill(self, rest: float) -> bool:
        """SIGKILL to all of its processes; it is started again after so many seconds. False when it is down."""
        pids = self.pids()
        if not pids or (self._restart is not None and not self._restart.done()):
            return False
        processes.send(pids, signal.SIGKILL)
        self._restart = asyncio.create_task(self._start_again(rest))
        return True

    def freeze(self) -> list[int]:
        """SIGSTOP to all of its processes; returns which. Empty when it is down."""
        pids = self.pids()
        processes.send(pids, signal.SIGSTOP)
        return pids

    def thaw(self, pids: Sequence[int]) -> None:
        """Let frozen processes go on."""
        processes.send([pid for pid in pids if pid in self.pids()], signal.SIGCONT)

    async def wait_started(self) -> None:
        """Until a start that was promised is done."""
        if self._restart is not None:
            await self._restart

    def pids(self) -> list[int]:
        """Its processes, the postmaster first; none when it is down."""
        try:
            postmaster = int((self._directory / "data" / "postmaster.pid").read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return []
        is_ours = str(self._directory) in processes.command_line(postmaster)
        return processes.family(postmaster) if is_ours else []

    async def _start_again(self, rest: float) -> None:
        await asyncio.sleep(rest)
        while True:
            self._server.note_killed()
            try:
                await asyncio.to_thread(self._server.start)
            except RuntimeError:  # something of the old one still holds its shared memory
                await asyncio.sleep(0.5)
            else:
                return


def read_commands(server: Server) -> list[Command]:
    """Every row of `commands`."""
    return [
        Command(
            id=row[0],
            request_id=row[1],
            created_at=_required_time(row[2]),
            cancelled_at=_time(row[3]),
            finished_at=_time(row[4]),
            admin_id=row[5],
        )
        for row in server.query(_COMMANDS)
    ]


def read_executions(server: Server) -> list[Execution]:
    """Every row of `executions`."""
    return [
        Execution(
            id=row[0],
            command_id=row[1],
            node=row[2],
            state=row[3],
            outcome=row[4],
            started=None if row[5] is None else bool(row[5]),
            exit_code=row[6],
            signal=row[7],
            ended_at=_time(row[8]),
            truncated=bool(row[9]),
            stdout_bytes=row[10],
            error_code=row[11],
        )
        for row in server.query(_EXECUTIONS)
    ]


def read_holders(server: Server) -> dict[str, str]:
    """By node: the admin that holds its session; empty when none does."""
    return {name: holder or "" for name, holder in server.query("SELECT name, session_admin_id FROM nodes")}


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _required_time(value: Any) -> datetime:
    moment = _time(value)
    assert moment is not None
    return moment
