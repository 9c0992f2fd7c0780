"""The first schema.

Revision ID: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from edge_server.db.base import UtcDateTime, growing_id_type, json_type

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "admins",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("urls", json_type(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_admins")),
    )
    op.create_table(
        "audit",
        sa.Column("id", growing_id_type(), nullable=False),
        sa.Column("time", UtcDateTime(), nullable=False),
        sa.Column("principal_id", sa.String(length=64), nullable=False),
        sa.Column("principal_name", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject_id", sa.String(length=64), nullable=False),
        sa.Column("subject_name", sa.String(length=128), nullable=False),
        sa.Column("cluster", sa.String(length=24), nullable=False),
        sa.Column("details", json_type(), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("peer", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_action"), "audit", ["action"], unique=False)
    op.create_table(
        "clusters",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=24), nullable=False),
        sa.Column("node_limit", sa.Integer(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clusters")),
        sa.UniqueConstraint("name", name=op.f("uq_clusters_name")),
    )
    op.create_table(
        "commands",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("principal_id", sa.String(length=64), nullable=False),
        sa.Column("principal_name", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("spec", sa.LargeBinary(), nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=True),
        sa.Column("admin_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("cancelled_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commands")),
        sa.UniqueConstraint("principal_id", "request_id", name=op.f("uq_commands_principal_id_request_id")),
    )
    op.create_index("ix_commands_created_at_id", "commands", ["created_at", "id"], unique=False)
    op.create_table(
        "compatibility",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("oldest_generation", sa.Integer(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_compatibility_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compatibility")),
    )
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("installation_id", sa.String(length=64), nullable=False),
        sa.Column("ca_certificate", sa.LargeBinary(), nullable=False),
        sa.Column("ca_key_encrypted", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_installation_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "principals",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "admin",
                "operator",
                "viewer",
                "metrics",
                "proxy",
                "mcp",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("is_confined", sa.Boolean(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_principals")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_principals_token_hash")),
    )
    op.create_index(op.f("ix_principals_created_at"), "principals", ["created_at"], unique=False)
    op.create_index(
        "uq_principals_live_name",
        "principals",
        ["name"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "enrollment_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("cluster_id", sa.String(length=64), nullable=False),
        sa.Column("nonce_hash", sa.LargeBinary(), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=True),
        sa.Column("labels", json_type(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("last_used_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("uses_left >= 0", name=op.f("ck_enrollment_keys_uses_left")),
        sa.ForeignKeyConstraint(
            ["cluster_id"], ["clusters.id"], name=op.f("fk_enrollment_keys_cluster_id_clusters"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrollment_keys")),
    )
    op.create_index(op.f("ix_enrollment_keys_cluster_id"), "enrollment_keys", ["cluster_id"], unique=False)
    op.create_index(op.f("ix_enrollment_keys_created_at"), "enrollment_keys", ["created_at"], unique=False)
    op.create_table(
        "executions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("command_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("node_name", sa.String(length=80), nullable=False),
        sa.Column("cluster_id", sa.String(length=64), nullable=False),
        sa.Column("cluster_name", sa.String(length=24), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "sent",
                "running",
                "ended",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column(
            "outcome",
            sa.Enum(
                "ok",
                "failed",
                "timed_out",
                "cancelled",
                "offline",
                "not_started",
                "expired",
                "dropped",
                "lost",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=True,
        ),
        sa.Column("queued_at", UtcDateTime(), nullable=True),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("started", sa.Boolean(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("signal", sa.String(length=32), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("stdout_bytes", sa.BigInteger(), nullable=False),
        sa.Column("stderr_bytes", sa.BigInteger(), nullable=False),
        sa.Column("truncated", sa.Boolean(), nullable=False),
        sa.Column("output_held_open", sa.Boolean(), nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=False),
        sa.Column("error_message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["command_id"], ["commands.id"], name=op.f("fk_executions_command_id_commands"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_executions")),
    )
    op.create_index("ix_executions_command_id_position", "executions", ["command_id", "position"], unique=False)
    op.create_index(
        "ix_executions_open_node_id",
        "executions",
        ["node_id"],
        unique=False,
        sqlite_where=sa.text("state <> 'ended'"),
        postgresql_where=sa.text("state <> 'ended'"),
    )
    op.create_table(
        "nodes",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("cluster_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("key_fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("facts", json_type(), nullable=False),
        sa.Column("agent_version", sa.String(length=64), nullable=False),
        sa.Column("enrolled_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=True),
        sa.Column("clock_skew_ms", sa.BigInteger(), nullable=False),
        sa.Column("session_epoch", sa.BigInteger(), nullable=False),
        sa.Column("session_admin_id", sa.String(length=64), nullable=True),
        sa.Column("session_instance_id", sa.String(length=64), nullable=True),
        sa.Column("superseded_instances", json_type(), nullable=False),
        sa.Column("conflict_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["cluster_id"], ["clusters.id"], name=op.f("fk_nodes_cluster_id_clusters"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
        sa.UniqueConstraint("key_fingerprint", name=op.f("uq_nodes_key_fingerprint")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_nodes_token_hash")),
    )
    op.create_index(op.f("ix_nodes_cluster_id"), "nodes", ["cluster_id"], unique=False)
    op.create_index("ix_nodes_name_id", "nodes", ["name", "id"], unique=False)
    op.create_index(op.f("ix_nodes_session_admin_id"), "nodes", ["session_admin_id"], unique=False)
    op.create_table(
        "principal_clusters",
        sa.Column("principal_id", sa.String(length=64), nullable=False),
        sa.Column("cluster_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["cluster_id"], ["clusters.id"], name=op.f("fk_principal_clusters_cluster_id_clusters"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["principal_id"],
            ["principals.id"],
            name=op.f("fk_principal_clusters_principal_id_principals"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("principal_id", "cluster_id", name=op.f("pk_principal_clusters")),
    )
    op.create_table(
        "aliases",
        sa.Column("id", growing_id_type(), nullable=False),
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("cluster_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.ForeignKeyConstraint(
            ["cluster_id"], ["clusters.id"], name=op.f("fk_aliases_cluster_id_clusters"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_aliases_node_id_nodes"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_aliases")),
        sa.UniqueConstraint("cluster_id", "name", name=op.f("uq_aliases_cluster_id_name")),
    )
    op.create_index("ix_aliases_name", "aliases", ["name"], unique=False)
    op.create_index(op.f("ix_aliases_node_id"), "aliases", ["node_id"], unique=False)
    op.create_table(
        "execution_outputs",
        sa.Column("execution_id", sa.String(length=64), nullable=False),
        sa.Column("stream", sa.String(length=8), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.Column("tail", sa.LargeBinary(), nullable=False),
        sa.Column("tail_offset", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["execution_id"],
            ["executions.id"],
            name=op.f("fk_execution_outputs_execution_id_executions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("execution_id", "stream", name=op.f("pk_execution_outputs")),
    )
    op.create_table(
        "node_labels",
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("value", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["node_id"], ["nodes.id"], name=op.f("fk_node_labels_node_id_nodes"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("node_id", "name", name=op.f("pk_node_labels")),
    )
    op.create_index("ix_node_labels_name_value", "node_labels", ["name", "value"], unique=False)
    op.execute("INSERT INTO compatibility (id, oldest_generation) VALUES (1, 1)")


def downgrade() -> None:
    op.drop_index("ix_node_labels_name_value", table_name="node_labels")
    op.drop_table("node_labels")
    op.drop_table("execution_outputs")
    op.drop_index(op.f("ix_aliases_node_id"), table_name="aliases")
    op.drop_index("ix_aliases_name", table_name="aliases")
    op.drop_table("aliases")
    op.drop_table("principal_clusters")
    op.drop_index(op.f("ix_nodes_session_admin_id"), table_name="nodes")
    op.drop_index("ix_nodes_name_id", table_name="nodes")
    op.drop_index(op.f("ix_nodes_cluster_id"), table_name="nodes")
    op.drop_table("nodes")
    op.drop_index(
        "ix_executions_open_node_id",
        table_name="executions",
        sqlite_where=sa.text("state <> 'ended'"),
        postgresql_where=sa.text("state <> 'ended'"),
    )
    op.drop_index("ix_executions_command_id_position", table_name="executions")
    op.drop_table("executions")
    op.drop_index(op.f("ix_enrollment_keys_created_at"), table_name="enrollment_keys")
    op.drop_index(op.f("ix_enrollment_keys_cluster_id"), table_name="enrollment_keys")
    op.drop_table("enrollment_keys")
    op.drop_index(
        "uq_principals_live_name",
        table_name="principals",
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.drop_index(op.f("ix_principals_created_at"), table_name="principals")
    op.drop_table("principals")
    op.drop_table("installation")
    op.drop_table("compatibility")
    op.drop_index("ix_commands_created_at_id", table_name="commands")
    op.drop_table("commands")
    op.drop_table("clusters")
    op.drop_index(op.f("ix_audit_action"), table_name="audit")
    op.drop_table("audit")
    op.drop_table("admins")
