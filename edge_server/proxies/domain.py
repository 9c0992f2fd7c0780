"""Tunnels of this admin: how many may be open, and what became of them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_server.nodes.domain import NodeId, SelectedNode
from edge_server.principals.domain import PrincipalId
from edge_wire.errors import TunnelLimitReached

_FORGOTTEN_KEPT = 10_000

OK = "ok"
"""How a tunnel ended that both of its sides ended; else the code of an error."""


@dataclass(frozen=True, kw_only=True)
class Caps:
    """How many tunnels may be open at once."""

    per_node: int
    per_principal: int
    total: int


@dataclass(kw_only=True, eq=False)
class Tunnel:
    """One tunnel that is open or being opened."""

    id: str
    principal_id: PrincipalId
    node: SelectedNode
    is_open: bool = False
    """Its target has answered."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a tunnel ended."""

    outcome: str
    sent: int = 0
    """Bytes towards the target."""
    received: int = 0


@dataclass(kw_only=True)
class NodeCounters:
    """What became of the tunnels of one node since the start of this admin."""

    node: SelectedNode
    """As it was named last."""
    opened: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Those that never opened, by outcome."""
    closed: Counter[str] = field(default_factory=Counter)
    """Those that were open and ended, by outcome."""
    sent: int = 0
    """Bytes towards the target, of those that ended."""
    received: int = 0


class Census:
    """The tunnels of this admin, within its caps, and what became of those before."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._tunnels: dict[str, Tunnel] = {}
        self._per_node: Counter[NodeId] = Counter()
        self._per_principal: Counter[PrincipalId] = Counter()
        self._counters: dict[NodeId, NodeCounters] = {}
        self._forgotten: dict[NodeId, None] = {}
        """Nodes that were deleted: their tunnels end later. The one that was deleted first is forgotten first."""

    def __len__(self) -> int:
        return len(self._tunnels)

    def __iter__(self) -> Iterator[Tunnel]:
        return iter(list(self._tunnels.values()))

    @property
    def counters(self) -> Sequence[NodeCounters]:
        """Of every node that had a tunnel, by name."""
        return sorted(self._counters.values(), key=lambda counters: (counters.node.name, counters.node.id))

    def count_open(self, node_id: NodeId) -> int:
        """How many tunnels of a node are open or being opened."""
        return self._per_node.get(node_id, 0)

    def require_room(self, principal_id: PrincipalId) -> None:
        """Raise TunnelLimitReached when there is none, whatever the node."""
        if len(self._tunnels) >= self._caps.total:
            raise _full(self._caps.total, "on this admin", "TUNNELS_TOTAL")
        if self._per_principal[principal_id] >= self._caps.per_principal:
            raise _full(self._caps.per_principal, "by this credential", "TUNNELS_PER_PRINCIPAL")

    def enter(self, tunnel: Tunnel) -> None:
        """A tunnel is being opened. Raises TunnelLimitReached."""
        self.require_room(tunnel.principal_id)
        if self._per_node[tunnel.node.id] >= self._caps.per_node:
            raise _full(self._caps.per_node, f"through {tunnel.node.name}", "TUNNELS_PER_NODE")
        self._tunnels[tunnel.id] = tunnel
        self._per_node[tunnel.node.id] += 1
        self._per_principal[tunnel.principal_id] += 1

    def opened(self, tunnel: Tunnel) -> None:
        """Its target has answered."""
        tunnel.is_open = True
        if counters := self._counters_of(tunnel.node):
            counters.opened += 1

    def leave(self, tunnel: Tunnel, ending: Ending) -> None:
        """It is over, or it was refused before it had entered."""
        if counters := self._counters_of(tunnel.node):
            (counters.closed if tunnel.is_open else counters.refused)[ending.outcome] += 1
            counters.sent += ending.sent
            counters.received += ending.received
        if self._tunnels.pop(tunnel.id, None) is not None:
            _take_one(self._per_node, tunnel.node.id)
            _take_one(self._per_principal, tunnel.principal_id)

    def forget_node(self, node_id: NodeId) -> None:
        """The node was deleted."""
        self._counters.pop(node_id, None)
        self._forgotten[node_id] = None
        if len(self._forgotten) > _FORGOTTEN_KEPT:
            del self._forgotten[next(iter(self._forgotten))]

    def _counters_of(self, node: SelectedNode) -> NodeCounters | None:
        if node.id in self._forgotten:
            return None
        counters = self._counters.setdefault(node.id, NodeCounters(node=node))
        counters.node = node
        return counters


def _take_one(counter: Counter[Any], key: object) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


def _full(limit: int, where: str, setting: str) -> TunnelLimitReached:
    return TunnelLimitReached(f"{limit} tunnels are open {where} already", hint=f"close some, or raise {setting}")
