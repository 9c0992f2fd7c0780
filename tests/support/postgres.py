"""The distribution's PostgreSQL for tests: one real server per test process, a fresh database per test.

It is reached over TCP on loopback with a password, as in production. Not for SQLite, and not for migrations.
"""

import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.support.leftovers import abandoned, unique_name

# Not the user's temporary directory: the server's user must be able to pass through it, and sockets need short paths.
SCRATCH = Path("/tmp")
START_LIMIT = timedelta(seconds=60)
USER = "edge"


class PostgresServer:
    """A running server with a data directory of its own. `stop` and `start` keep port, databases and password.

    `freeze` is the other way of being away: connections stay, new ones are taken by the kernel, and nothing answers.
    """

    def __init__(self, *, binaries: Path, directory: Path, account: str | None, port: int) -> None:
        self._binaries = binaries
        self._directory = directory
        self._account = account
        self._port = port
        self._password = secrets.token_hex(8)
        self._running = False
        self._frozen: list[int] = []

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database on this server."""
        return f"postgresql+psycopg://{USER}:{self._password}@127.0.0.1:{self._port}/{database}"

    def create_database(self, *, template: str = "template1") -> str:
        """Make a database with a new name, a copy of the template (which nobody may be using), and return the name."""
        name = f"test_{secrets.token_hex(6)}"
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def create_database_at(self, directory: Path, *, template: str) -> str:
        """As `create_database`, with its files in this directory; the journal of changes stays where it is."""
        if self._account is not None:
            owner = pwd.getpwnam(self._account)
            os.chown(directory, owner.pw_uid, owner.pw_gid)
        name = f"test_{secrets.token_hex(6)}"
        self._execute(
            sql.SQL("CREATE TABLESPACE {} LOCATION {}").format(sql.Identifier(name), sql.Literal(str(directory)))
        )
        words = sql.SQL("CREATE DATABASE {} TEMPLATE {} TABLESPACE {}")
        self._execute(words.format(*map(sql.Identifier, (name, template, name))))
        return name

    def drop_database_at(self, name: str) -> None:
        """Remove what `create_database_at` made."""
        self.drop_database(name)
        self._execute(sql.SQL("DROP TABLESPACE {}").format(sql.Identifier(name)))

    def drop_database(self, name: str) -> None:
        """Remove a database, throwing out whoever is connected."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def initialize(self) -> None:
        """Make the data directory."""
        passwords = self._directory / "password"
        passwords.write_text(self._password)
        if self._account is not None:
            owner = pwd.getpwnam(self._account)
            for path in (self._directory, passwords):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        access = ["--auth=scram-sha-256", f"--username={USER}", f"--pwfile={passwords}"]
        self._run("initdb", "--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C.UTF-8", *access)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": str(self._directory),
            "max_connections": "200",
        }
        with (self._directory / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def start(self) -> None:
        """Start the server unless it is running, and let it go on if it is frozen; return when it takes connections."""
        self.thaw()
        if not self._running:
            seconds = int(START_LIMIT.total_seconds())
            self._run("pg_ctl", "start", "--wait", f"--timeout={seconds}", f"--log={self._directory / 'log'}")
            self._running = True

    def stop(self) -> None:
        """Stop the server at once, as a crash would: connections break, committed transactions are kept."""
        self.thaw()
        if self._running:
            self._run("pg_ctl", "stop", "--wait", "--mode=immediate")
            self._running = False

    def freeze(self) -> None:
        """Stop every process of the server where it stands."""
        postmaster = int((self._directory / "data" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(postmaster, signal.SIGSTOP)  # first, so that it makes no more
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        self._frozen = [postmaster, *map(int, children)]
        for pid in self._frozen:
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        for pid in self._frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._frozen = []

    def note_killed(self) -> None:
        """Somebody killed its processes: `start` starts it again."""
        self._running = False

    def _execute(self, statement: sql.Composed) -> None:
        where = self.url("postgres").replace("+psycopg", "")
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(statement)

    def _run(self, program: str, *arguments: str) -> None:
        run_as(self._account, self._binaries / program, self._directory, arguments)


def run_as(account: str | None, program: Path, directory: Path, arguments: tuple[str, ...]) -> None:
    """Run one of PostgreSQL's programs on the data directory below `directory`; raise with its output on failure."""
    done = subprocess.run(
        [program, f"--pgdata={directory / 'data'}", *arguments],
        user=account,
        group=None if account is None else pwd.getpwnam(account).pw_gid,
        extra_groups=None if account is None else [],
        cwd=directory,
        # Without the caller's PG* variables and locale. Output goes to a file: the server keeps it open.
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=(directory / "output").open("wb"),
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        log = directory / "log"
        text = (directory / "output").read_text() + (log.read_text() if log.exists() else "")
        raise RuntimeError(f"{program.name} failed ({done.returncode}): {text}")


def binaries() -> Path | None:
    """Return the directory with the newest installed server's programs: PATH, then where Debian keeps them."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


def server_account() -> str | None:
    """Return the account to run as: PostgreSQL refuses root, everyone else keeps their own."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres")


def free_port(candidates: Callable[[], int] = lambda: random.randint(20000, 32000)) -> int:
    """Return a port that is free now, below the range for outgoing connections: it must stay free while stopped."""
    for _ in range(100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            port = candidates()
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port found in 100 tries")


def remove_abandoned(programs: Path, account: str | None) -> None:
    """Stop and remove the servers of test runs that were killed."""
    owner = os.geteuid() if account is None else pwd.getpwnam(account).pw_uid
    for name in abandoned(path.name for path in SCRATCH.iterdir()):
        directory = SCRATCH / name
        if directory.is_symlink() or directory.stat().st_uid != owner:
            continue
        if (directory / "data" / "postmaster.pid").exists():
            with suppress(RuntimeError):  # the server is gone and only its file is left
                run_as(account, programs / "pg_ctl", directory, ("stop", "--mode=immediate"))
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server for this test process. Whoever stops it need not start it again."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed")
    account = server_account()
    remove_abandoned(programs, account)
    directory = SCRATCH / unique_name()
    directory.mkdir(mode=0o700)
    server = PostgresServer(binaries=programs, directory=directory, account=account, port=free_port())
    try:
        server.initialize()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def postgres_database(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database that only this test knows."""
    postgres_server.start()
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.start()
    postgres_server.drop_database(name)
