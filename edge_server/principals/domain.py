"""Principals: roles, scope and who is calling. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from edge_wire.errors import Denied, ScopeDenied

PrincipalId = NewType("PrincipalId", str)


class Role(StrEnum):
    """What a principal may do; the table in `edge_server.rpc.permissions` says which calls."""

    ADMIN = "admin"
    OPERATOR = "operator"
    VIEWER = "viewer"
    METRICS = "metrics"
    PROXY = "proxy"
    MCP = "mcp"


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A named credential."""

    id: PrincipalId
    name: str
    role: Role
    cluster_ids: frozenset[str] | None = None
    """Clusters that it is confined to; None means the whole installation."""
    cluster_names: tuple[str, ...] = ()
    created_at: datetime | None = None
    expires_at: datetime | None = None

    def may_see(self, cluster_id: str) -> bool:
        """Whether this cluster is in its scope."""
        return self.cluster_ids is None or cluster_id in self.cluster_ids

    def require_cluster(self, cluster_id: str, cluster_name: str) -> None:
        """Raise ScopeDenied unless this cluster is in its scope."""
        if not self.may_see(cluster_id):
            raise ScopeDenied(f"this credential is confined to other clusters than {cluster_name}")

    def require_installation(self) -> None:
        """Raise Denied when it is confined to clusters: some things concern the whole installation."""
        if self.cluster_ids is not None:
            raise ScopeDenied("this concerns the whole installation and the credential is confined to clusters")

    def require_role_at_most(self, role: Role) -> None:
        """Raise Denied when it would hand out a role that it does not have itself."""
        if self.role is not Role.ADMIN and role is not self.role:
            raise Denied(f"a {self.role} cannot hand out the role {role}")


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who makes this request, and from where; every audit row carries it."""

    principal: Principal
    request_id: str
    peer: str
