"""Who may call what: the one table, deny by default. A method that is not here cannot be served at all."""

from __future__ import annotations

from dataclasses import dataclass

from edge_server.principals.domain import Role


@dataclass(frozen=True, kw_only=True)
class Open:
    """Anyone may call it."""


@dataclass(frozen=True, kw_only=True)
class NodeOnly:
    """Needs a node's token."""


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Needs a principal with one of these roles."""

    roles: frozenset[Role]


Access = Open | NodeOnly | Roles

_ADMINS = Roles(roles=frozenset({Role.ADMIN}))
_OPERATORS = Roles(roles=frozenset({Role.ADMIN, Role.OPERATOR}))
_TUNNELLERS = Roles(roles=frozenset({Role.ADMIN, Role.OPERATOR, Role.PROXY}))
_VIEWERS = Roles(roles=frozenset({Role.ADMIN, Role.OPERATOR, Role.VIEWER}))
_EVERYONE = Roles(roles=frozenset(Role))

ACCESS: dict[str, Access] = {
    "/grpc.health.v1.Health/Check": Open(),
    "/grpc.health.v1.Health/List": Open(),
    "/grpc.health.v1.Health/Watch": Open(),
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _EVERYONE,
    "/edge_wire.v1.NodeGate/Enroll": Open(),
    "/edge_wire.v1.NodeGate/Session": NodeOnly(),
    "/edge_wire.v1.NodeGate/Tunnel": NodeOnly(),
    "/edge_wire.v1.AdminService/GetStatus": _VIEWERS,
    "/edge_wire.v1.AuditService/List": _ADMINS,
    "/edge_wire.v1.ClusterService/List": _VIEWERS,
    "/edge_wire.v1.ClusterService/Get": _VIEWERS,
    "/edge_wire.v1.ClusterService/Create": _ADMINS,
    "/edge_wire.v1.ClusterService/Update": _ADMINS,
    "/edge_wire.v1.ClusterService/Delete": _ADMINS,
    "/edge_wire.v1.CommandService/Create": _OPERATORS,
    "/edge_wire.v1.CommandService/Exec": _OPERATORS,
    "/edge_wire.v1.CommandService/Cancel": _OPERATORS,
    "/edge_wire.v1.CommandService/Delete": _ADMINS,
    "/edge_wire.v1.CommandService/Watch": _VIEWERS,
    "/edge_wire.v1.CommandService/Get": _VIEWERS,
    "/edge_wire.v1.CommandService/List": _VIEWERS,
    "/edge_wire.v1.EnrollmentKeyService/List": _VIEWERS,
    "/edge_wire.v1.EnrollmentKeyService/Get": _VIEWERS,
    "/edge_wire.v1.EnrollmentKeyService/Create": _ADMINS,
    "/edge_wire.v1.EnrollmentKeyService/Update": _ADMINS,
    "/edge_wire.v1.EnrollmentKeyService/Delete": _ADMINS,
    "/edge_wire.v1.NodeService/List": _VIEWERS,
    "/edge_wire.v1.NodeService/Get": _VIEWERS,
    "/edge_wire.v1.NodeService/Update": _OPERATORS,
    "/edge_wire.v1.NodeService/AddAlias": _OPERATORS,
    "/edge_wire.v1.NodeService/RemoveAlias": _OPERATORS,
    "/edge_wire.v1.NodeService/Move": _ADMINS,
    "/edge_wire.v1.NodeService/Delete": _ADMINS,
    "/edge_wire.v1.SshUserService/List": _VIEWERS,
    "/edge_wire.v1.SshUserService/Get": _VIEWERS,
    "/edge_wire.v1.SshUserService/Create": _ADMINS,
    "/edge_wire.v1.SshUserService/Delete": _ADMINS,
    "/edge_wire.v1.SshKeyService/List": _VIEWERS,
    "/edge_wire.v1.SshKeyService/Create": _ADMINS,
    "/edge_wire.v1.SshKeyService/Delete": _ADMINS,
    "/edge_wire.v1.SshService/Admit": _OPERATORS,
    "/edge_wire.v1.SshService/GetHost": _VIEWERS,
    "/edge_wire.v1.SshService/ListSessions": _VIEWERS,
    "/edge_wire.v1.SshService/GetSession": _VIEWERS,
    "/edge_wire.v1.SshService/ReadRecording": _OPERATORS,
    "/edge_wire.v1.TunnelService/Open": _TUNNELLERS,
    "/edge_wire.v1.TokenService/List": _ADMINS,
    "/edge_wire.v1.TokenService/Get": _ADMINS,
    "/edge_wire.v1.TokenService/Create": _ADMINS,
    "/edge_wire.v1.TokenService/Delete": _ADMINS,
    "/edge_wire.v1.TokenService/WhoAmI": _EVERYONE,
}
"""Full method name → who may call it. Cluster scope is checked by the services, on what is touched."""
