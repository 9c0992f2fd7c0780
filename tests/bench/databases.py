"""PostgreSQL for admins of the benchmark: one server of its own, started when a database is first asked for."""

from __future__ import annotations

import shutil
from types import TracebackType

from tests.bench.options import Refused
from tests.support import postgres
from tests.support.leftovers import unique_name
from tests.support.postgres import PostgresServer


class Databases:
    """Makes databases; removes the server at the end."""

    def __init__(self) -> None:
        self._server: PostgresServer | None = None
        self._directory = postgres.SCRATCH / unique_name()

    def __enter__(self) -> Databases:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._server is not None:
            self._server.stop()
            shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def is_installed(self) -> bool:
        """Whether this machine has PostgreSQL's server."""
        return postgres.binaries() is not None

    def new(self) -> str:
        """The URL of an empty database, with fsync on. Raises Refused."""
        programs = postgres.binaries()
        if programs is None:
            raise Refused("PostgreSQL's server is not installed: leave out --database postgres")
        if self._server is None:
            self._directory.mkdir(mode=0o700)
            account = postgres.server_account()
            self._server = PostgresServer(
                binaries=programs, directory=self._directory, account=account, port=postgres.free_port()
            )
            self._server.initialize()
            self._server.start()
        return self._server.url(self._server.create_database())
