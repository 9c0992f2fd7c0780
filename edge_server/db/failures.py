"""What a failure of the database means: passing, full, read-only, locked or down. Pure: no logging, no retrying.

The driver's own words name hosts and users: they are for the admin's log, never for whoever calls.
"""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import (
    DatabaseError,
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from edge_wire.errors import DatabaseUnavailable, StorageFull


class CommitUnknown(Exception):
    """The connection was lost during a commit; the cause says how. It may be stored or not."""


FAILURES = (DatabaseError, InterfaceError, PoolTimeout, CommitUnknown)
"""What a transaction may raise on the database's account, faulty statements included."""

_STATEMENT_FAULTS = (DataError, IntegrityError, ProgrammingError, NotSupportedError)
_DATABASE_FAULTS = (OperationalError, InterfaceError, InternalError, PoolTimeout)

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_DISK_FULL = "53100"
_READ_ONLY = "25006"
_LOCK_NOT_AVAILABLE = "55P03"
_COLLISIONS = {"40001", "40P01"}  # serialization failure, deadlock
_LIMIT_EXCEEDED = "54"  # a class: more columns, arguments or nesting than any server takes

_LATER = "repeat it in a moment"


def is_collision(error: Exception) -> bool:
    """Whether two transactions got in each other's way: nothing was stored, and the same again may succeed."""
    return isinstance(error, OperationalError) and _sqlstate(error) in _COLLISIONS


def is_commit_unknown(error: Exception) -> bool:
    """Whether a commit that failed so may have happened all the same."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def to_edge_error(error: Exception) -> DatabaseUnavailable | None:
    """What whoever calls is told; None when the statement was at fault and not the database."""
    if isinstance(error, CommitUnknown):
        return DatabaseUnavailable(
            "the admin's database went away while this was being stored: it may be stored or not",
            hint="look whether it is there before you repeat it",
            started="unknown",
        )
    if not _is_fault_of_database(error):
        return None
    state, code = _sqlstate(error), _sqlite_code(error)
    if state == _DISK_FULL or code == sqlite3.SQLITE_FULL:
        return StorageFull(
            "the disk of the admin's database is full",
            hint="free space there and repeat it; what runs goes on, and its results are kept",
        )
    if state == _READ_ONLY or code == sqlite3.SQLITE_READONLY:
        return DatabaseUnavailable("the admin's database can only be read", hint="make it writable and repeat it")
    if state == _LOCK_NOT_AVAILABLE or code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return DatabaseUnavailable("another program holds the lock of the admin's database", hint=_LATER)
    return DatabaseUnavailable("the admin's database is down", hint=_LATER)


def _is_fault_of_database(error: Exception) -> bool:
    """The base class itself is SQLite's word for a damaged file: nobody can repeat that away."""
    if isinstance(error, _STATEMENT_FAULTS) or not isinstance(error, _DATABASE_FAULTS):
        return False
    return _sqlite_code(error) != sqlite3.SQLITE_ERROR and not _sqlstate(error).startswith(_LIMIT_EXCEEDED)


def reason(error: Exception) -> str:
    """The driver's own words, on one line."""
    if isinstance(error, CommitUnknown) and isinstance(error.__cause__, Exception):
        return reason(error.__cause__)
    cause = error.orig if isinstance(error, DBAPIError) else error
    text = str(cause).strip() or type(cause).__name__
    return text.splitlines()[0][:160]


def _sqlstate(error: Exception) -> str:
    return str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")


def _sqlite_code(error: Exception) -> int:
    """SQLite's primary result code; the extended one says more than anybody acts on."""
    return int(getattr(getattr(error, "orig", None), "sqlite_errorcode", 0) or 0) & 0xFF
