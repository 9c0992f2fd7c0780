"""Bringing a database to this program's schema, and refusing one that belongs to a newer program.

Migrations expand first and contract in a later release, so a database ahead of the program is usable as long as its
`oldest_generation` allows this program's `GENERATION`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, select, text
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError

from edge_server.db.engine import WRITE
from edge_server.installation.models import CompatibilityRow
from edge_wire.errors import DatabaseDamaged, DatabaseNewer, DatabaseNotMigrated, DatabaseUnavailable

GENERATION = 2
"""Raised when a migration makes the database unusable for older programs."""

_ADVISORY_LOCK = 0x65646765  # "edge": any number that nobody else on this database takes


def migrate(engine: Engine) -> list[str]:
    """Apply what is missing, in one transaction; returns the revisions applied.

    Raises DatabaseNewer, DatabaseDamaged, DatabaseUnavailable.
    """
    with _translated(engine), engine.execution_options(**WRITE).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        before = _current(connection)
        if _is_unknown(before):
            _require_generation(connection)
            return []
        command.upgrade(_config(connection), "head")
        return _revisions_after(before)


def check(engine: Engine) -> None:
    """Raise unless the schema is one that this program can use.

    Raises DatabaseNotMigrated, DatabaseNewer, DatabaseDamaged, DatabaseUnavailable.
    """
    with _translated(engine), engine.connect() as connection:
        current = _current(connection)
        if current is None or (not _is_unknown(current) and current != _head()):
            raise DatabaseNotMigrated(hint="run: edge-server migrate")
        _require_generation(connection)


def _require_generation(connection: Connection) -> None:
    if not inspect(connection).has_table(CompatibilityRow.__tablename__):
        raise DatabaseNotMigrated("the database holds something else than an edge-server schema")
    oldest = connection.scalar(select(CompatibilityRow.oldest_generation))
    if oldest is not None and oldest > GENERATION:
        raise DatabaseNewer(
            f"the database needs a program of generation {oldest} or newer, this one is of generation {GENERATION}",
            hint="install a newer edge-server",
        )


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _script() -> ScriptDirectory:
    return ScriptDirectory(str(resources.files("edge_server.db") / "migrations"))


def _head() -> str | None:
    return _script().get_current_head()


def _known() -> list[str]:
    """Every revision, oldest first."""
    return [script.revision for script in reversed(list(_script().walk_revisions()))]


def _is_unknown(revision: str | None) -> bool:
    return revision is not None and revision not in _known()


def _revisions_after(before: str | None) -> list[str]:
    known = _known()
    return known if before is None else known[known.index(before) + 1 :]


def _config(connection: Connection) -> Config:
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(resources.files("edge_server.db") / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        hint = "check DATABASE_URL and that the server runs"
        if engine.dialect.name == "sqlite":
            hint = "check SQLITE_DB_PATH: it must be a file that may be written"
        raise DatabaseUnavailable(f"the database cannot be reached ({_reason(error)})", hint=hint) from error
    except DatabaseError as error:
        # SQLite's own word for a file that holds something else; its kinds are bugs of ours.
        if type(error) is not DatabaseError:
            raise
        raise DatabaseDamaged(
            f"{engine.url.database} cannot be used ({_reason(error)})",
            hint="restore a copy, or set SQLITE_DB_PATH to another file",
        ) from error


def _reason(error: DBAPIError) -> str:
    reason = str(error.orig).strip().splitlines()
    return reason[0][:160] if reason else "no reason given"
