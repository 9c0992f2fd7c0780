"""Nodes between domain and protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_server.nodes.domain import Node, NodeStatus, bounded_facts
from edge_server.nodes.selection import Selection
from edge_wire import names
from edge_wire.timestamps import to_timestamp
from edge_wire.v1 import node_pb2 as pb
from edge_wire.v1 import selector_pb2

_STATUS: dict[NodeStatus, pb.NodeStatus.ValueType] = {
    NodeStatus.ONLINE: pb.NODE_STATUS_ONLINE,
    NodeStatus.UNHEALTHY: pb.NODE_STATUS_UNHEALTHY,
    NodeStatus.OFFLINE: pb.NODE_STATUS_OFFLINE,
    NodeStatus.CONFLICT: pb.NODE_STATUS_CONFLICT,
}
_FACTS = [field.name for field in pb.Facts.DESCRIPTOR.fields]


def to_message(node: Node) -> pb.Node:
    """For the wire."""
    first_alias = node.aliases[0] if node.aliases else None
    return pb.Node(
        id=node.id,
        name=node.name,
        cluster=node.cluster_name,
        labels=node.labels,
        aliases=node.aliases,
        status=_STATUS[node.status],
        path=pb.PATH_UNSPECIFIED if node.status is NodeStatus.OFFLINE else pb.PATH_STREAM,
        last_seen_at=to_timestamp(node.last_seen_at),
        facts=_to_facts(node.facts),
        agent_version=node.agent_version,
        enrolled_at=to_timestamp(node.enrolled_at),
        dns_name=names.dns_name(node_id=node.id, first_alias=first_alias, cluster=node.cluster_name),
        clock_skew_ms=node.clock_skew_ms,
    )


def from_facts(facts: pb.Facts) -> dict[str, Any]:
    """As they are stored."""
    return bounded_facts({name: getattr(facts, name) for name in _FACTS})


def from_selector(selector: selector_pb2.Selector) -> Selection:
    """From the wire."""
    return Selection(
        nodes=list(selector.nodes),
        clusters=list(selector.clusters),
        all=selector.all,
        labels=list(selector.labels),
        exclude=list(selector.exclude),
        online=selector.online,
        pick=selector.pick,
    )


def _to_facts(facts: Mapping[str, Any]) -> pb.Facts:
    return pb.Facts(**{name: facts[name] for name in _FACTS if name in facts})
