"""Which node has a session with this admin. The only place that is asked."""

from __future__ import annotations

from collections.abc import Iterator

from edge_server.nodes.domain import NodeId
from edge_server.sessions.session import NodeSession


class SessionRegistry:
    """The live sessions of this admin, one per node."""

    def __init__(self) -> None:
        self._sessions: dict[NodeId, NodeSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[NodeSession]:
        return iter(list(self._sessions.values()))

    def find(self, node_id: NodeId) -> NodeSession | None:
        """The node's open session with this admin."""
        session = self._sessions.get(node_id)
        return session if session is not None and session.is_open else None

    def add(self, session: NodeSession) -> bool:
        """Make it the node's session; the older one is told goodbye. False when a newer one is there already."""
        current = self._sessions.get(session.node.id)
        if current is not None and current.epoch > session.epoch:
            session.say_goodbye("replaced", "a newer session of this node is open")
            return False
        self._sessions[session.node.id] = session
        if current is not None:
            current.say_goodbye("replaced", "a newer session of this node is open")
        return True

    def remove(self, session: NodeSession) -> bool:
        """Take it out; False when another one had taken its place."""
        if self._sessions.get(session.node.id) is not session:
            return False
        del self._sessions[session.node.id]
        return True
