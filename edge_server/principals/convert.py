"""Principals between domain and protobuf."""

from __future__ import annotations

from edge_server.principals.domain import Principal, Role
from edge_wire.errors import InvalidValue
from edge_wire.timestamps import to_timestamp
from edge_wire.v1 import principal_pb2 as pb

_ROLES: dict[Role, pb.Role.ValueType] = {
    Role.ADMIN: pb.ROLE_ADMIN,
    Role.OPERATOR: pb.ROLE_OPERATOR,
    Role.VIEWER: pb.ROLE_VIEWER,
    Role.METRICS: pb.ROLE_METRICS,
    Role.PROXY: pb.ROLE_PROXY,
    Role.MCP: pb.ROLE_MCP,
}


def to_message(principal: Principal) -> pb.Principal:
    """For the wire."""
    return pb.Principal(
        id=principal.id,
        name=principal.name,
        role=_ROLES[principal.role],
        clusters=principal.cluster_names,
        created_at=to_timestamp(principal.created_at),
        expires_at=to_timestamp(principal.expires_at),
    )


def from_role(role: pb.Role.ValueType) -> Role:
    """From the wire. Raises InvalidValue."""
    for known, wire in _ROLES.items():
        if wire == role:
            return known
    raise InvalidValue("the role is missing or unknown")
