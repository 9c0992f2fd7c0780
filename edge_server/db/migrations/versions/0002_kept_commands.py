"""What is kept of commands: packed output, removed commands, late corrections, and the session of a start.

Revision ID: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from edge_server.db.base import UtcDateTime

revision = "0002"
down_revision = "0001"

_REMOVED = sa.text("removed_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("commands", sa.Column("removed_at", UtcDateTime(), nullable=True))
    op.create_index(
        "ix_commands_removed_at", "commands", ["removed_at"], sqlite_where=_REMOVED, postgresql_where=_REMOVED
    )
    op.add_column("executions", sa.Column("sent_epoch", sa.BigInteger(), nullable=True))
    op.add_column("executions", sa.Column("corrected_at", UtcDateTime(), nullable=True))
    op.add_column(
        "execution_outputs", sa.Column("codec", sa.String(length=8), server_default=sa.text("''"), nullable=False)
    )
    # Programs of generation 1 would show packed output as it is.
    op.execute("UPDATE compatibility SET oldest_generation = 2")


def downgrade() -> None:
    op.drop_column("execution_outputs", "codec")
    op.drop_column("executions", "corrected_at")
    op.drop_column("executions", "sent_epoch")
    op.drop_index("ix_commands_removed_at", "commands", sqlite_where=_REMOVED, postgresql_where=_REMOVED)
    op.drop_column("commands", "removed_at")
