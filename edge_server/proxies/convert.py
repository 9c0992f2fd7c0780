"""Proxies and tunnels as messages."""

from __future__ import annotations

from edge_server.principals.domain import Principal
from edge_server.proxies.domain import Census
from edge_server.proxies.ports import OpenPort
from edge_wire.v1 import admin_pb2 as pb


def to_port(port: OpenPort | None) -> pb.ProxyPort | None:
    """Where a proxy listens."""
    return pb.ProxyPort(port=port.address.port, has_tls=port.has_tls) if port is not None else None


def to_tunnels(census: Census, principal: Principal) -> list[pb.NodeTunnels]:
    """What became of the tunnels through every node that the principal may see."""
    return [
        pb.NodeTunnels(
            node_id=counters.node.id,
            node_name=counters.node.name,
            open_count=census.count_open(counters.node.id),
            opened_count=counters.opened,
            refused_counts=counters.refused,
            closed_counts=counters.closed,
            sent_bytes=counters.sent,
            received_bytes=counters.received,
        )
        for counters in census.counters
        if principal.may_see(counters.node.cluster_id)
    ]
