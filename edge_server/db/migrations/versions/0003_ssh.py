"""SSH: accounts, keys, admissions, host keys and sessions.

Revision ID: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from edge_server.db.base import UtcDateTime, json_type

revision = "0003"
down_revision = "0002"

_OPEN = sa.text("ended_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "ssh_sessions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("node_name", sa.String(length=80), nullable=False),
        sa.Column("cluster_id", sa.String(length=64), nullable=False),
        sa.Column("cluster_name", sa.String(length=64), nullable=False),
        sa.Column("principal_name", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("user_name", sa.String(length=255), nullable=False),
        sa.Column("local_account", sa.String(length=64), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("credential_id", sa.String(length=80), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("deeds", json_type(), nullable=False),
        sa.Column("bytes_received", sa.BigInteger(), nullable=False),
        sa.Column("bytes_sent", sa.BigInteger(), nullable=False),
        sa.Column("has_recording", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ssh_sessions")),
    )
    op.create_index("ix_ssh_sessions_node", "ssh_sessions", ["node_id", "started_at"])
    op.create_index("ix_ssh_sessions_open", "ssh_sessions", ["node_id"], sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.create_index("ix_ssh_sessions_started", "ssh_sessions", ["started_at", "id"])
    op.create_table(
        "ssh_users",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("wanted", json_type(), nullable=False),
        sa.Column("local_account", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ssh_users")),
        sa.UniqueConstraint("name", name=op.f("uq_ssh_users_name")),
    )
    op.create_table(
        "ssh_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("sources", json_type(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["ssh_users.id"], name=op.f("fk_ssh_keys_user_id_ssh_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ssh_keys")),
        sa.UniqueConstraint("user_id", "fingerprint", name=op.f("uq_ssh_keys_user_id_fingerprint")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_ssh_keys_user_id_name")),
    )
    op.create_table(
        "ssh_admissions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("user_name", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("local_account", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("principal_id", sa.String(length=64), nullable=False),
        sa.Column("principal_name", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["node_id"], ["nodes.id"], name=op.f("fk_ssh_admissions_node_id_nodes"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["ssh_users.id"], name=op.f("fk_ssh_admissions_user_id_ssh_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ssh_admissions")),
    )
    op.create_index(op.f("ix_ssh_admissions_expires_at"), "ssh_admissions", ["expires_at"])
    op.create_index("ix_ssh_admissions_key", "ssh_admissions", ["node_id", "fingerprint"])
    op.create_index(op.f("ix_ssh_admissions_user_id"), "ssh_admissions", ["user_id"])
    op.create_table(
        "ssh_hosts",
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("host_keys", json_type(), nullable=False),
        sa.Column("own_account", sa.String(length=64), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_ssh_hosts_node_id_nodes"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_ssh_hosts")),
    )


def downgrade() -> None:
    op.drop_table("ssh_hosts")
    op.drop_index(op.f("ix_ssh_admissions_user_id"), table_name="ssh_admissions")
    op.drop_index("ix_ssh_admissions_key", table_name="ssh_admissions")
    op.drop_index(op.f("ix_ssh_admissions_expires_at"), table_name="ssh_admissions")
    op.drop_table("ssh_admissions")
    op.drop_table("ssh_keys")
    op.drop_table("ssh_users")
    op.drop_index("ix_ssh_sessions_started", table_name="ssh_sessions")
    op.drop_index("ix_ssh_sessions_open", table_name="ssh_sessions", sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.drop_index("ix_ssh_sessions_node", table_name="ssh_sessions")
    op.drop_table("ssh_sessions")
