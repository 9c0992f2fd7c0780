"""How an SQLAlchemy engine is made for each database, and what each needs to keep what it has promised.

No wait is without end: for a lock, for a statement, for a connection, or for a server that says nothing.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import psycopg
from sqlalchemy import Connection, Dialect, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import ConnectionPoolEntry

from edge_server.db.patient_connection import PatientConnection

WRITE = {"write": True}
"""Execution option of a connection that will write."""

_SQLITE_BUSY_SECONDS = 5

_KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15000}

_ON_CONNECT = """
SELECT set_config('statement_timeout', '10s', false),
       set_config('lock_timeout', '5s', false),
       -- An admin that is frozen within a transaction must not hold its locks against all others.
       set_config('idle_in_transaction_session_timeout', '30s', false),
       -- Nodes forget what was acknowledged; whoever made the server forgetful did not mean our results.
       CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END
"""


def make_engine(url: URL, *, pool_size: int) -> Engine:
    """Make the engine of a running admin; nothing is connected yet."""
    if url.get_backend_name() == "sqlite":
        return _make_sqlite(url, pool_size)
    engine = _make_postgres(url, pool_size)
    event.listen(engine, "do_connect", _connect_patiently)
    event.listen(engine, "connect", _set_limits)
    return engine


def make_migration_engine(url: URL) -> Engine:
    """Make an engine whose statements may take as long as they take."""
    return _make_sqlite(url, 1) if url.get_backend_name() == "sqlite" else _make_postgres(url, 1)


def _make_postgres(url: URL, pool_size: int) -> Engine:
    ours = {"connect_timeout": 5, "application_name": "edge-server", **_KEEPALIVE}
    connect_args = {name: value for name, value in ours.items() if name not in url.query}
    return create_engine(url, pool_size=pool_size, max_overflow=0, pool_pre_ping=True, connect_args=connect_args)


def _connect_patiently(
    _dialect: Dialect, _entry: ConnectionPoolEntry, cargs: tuple[Any, ...], cparams: dict[str, Any]
) -> psycopg.Connection[Any]:
    return PatientConnection.connect(*cargs, **cparams)


def _set_limits(connection: psycopg.Connection[Any], _record: ConnectionPoolEntry) -> None:
    connection.execute(_ON_CONNECT)
    connection.commit()


def _make_sqlite(url: URL, pool_size: int) -> Engine:
    engine = create_engine(
        url,
        pool_size=pool_size + 1,  # as many readers, and the one writer beside them
        max_overflow=0,
        connect_args={"timeout": _SQLITE_BUSY_SECONDS, "isolation_level": None},
    )
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _set_pragmas(connection: sqlite3.Connection, _record: ConnectionPoolEntry) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # A deferred transaction that reads and then writes fails at once when another one wrote in between; an immediate
    # one queues for its turn.
    options: Any = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("write") else "BEGIN")
