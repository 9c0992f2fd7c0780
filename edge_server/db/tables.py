"""Every table of every feature, for migrations; import `metadata` from here and nothing is forgotten."""

from __future__ import annotations

from edge_server.admins.models import AdminRow
from edge_server.audit.models import AuditRow
from edge_server.clusters.models import ClusterRow
from edge_server.commands.models import CommandRow, ExecutionRow, OutputRow
from edge_server.db.base import Base
from edge_server.enrollment.models import EnrollmentKeyRow
from edge_server.installation.models import CompatibilityRow, InstallationRow
from edge_server.nodes.models import AliasRow, LabelRow, NodeRow
from edge_server.principals.models import PrincipalClusterRow, PrincipalRow
from edge_server.ssh.models import SshAdmissionRow, SshHostRow, SshKeyRow, SshSessionRow, SshUserRow

metadata = Base.metadata

__all__ = [
    "AdminRow",
    "AliasRow",
    "AuditRow",
    "ClusterRow",
    "CommandRow",
    "CompatibilityRow",
    "EnrollmentKeyRow",
    "ExecutionRow",
    "InstallationRow",
    "LabelRow",
    "NodeRow",
    "OutputRow",
    "PrincipalClusterRow",
    "PrincipalRow",
    "SshAdmissionRow",
    "SshHostRow",
    "SshKeyRow",
    "SshSessionRow",
    "SshUserRow",
    "metadata",
]
