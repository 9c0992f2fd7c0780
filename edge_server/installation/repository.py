"""SQL of the installation row."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from edge_server.installation.models import InstallationRow


def find(tx: Session) -> InstallationRow | None:
    """The one row, if it is there."""
    return tx.scalar(select(InstallationRow))


def insert_if_absent(tx: Session, row: InstallationRow) -> InstallationRow:
    """Insert the row; the loser of a race gets the winner's."""
    try:
        with tx.begin_nested():
            tx.add(row)
            tx.flush()
    except IntegrityError:
        return tx.scalars(select(InstallationRow)).one()
    return row
