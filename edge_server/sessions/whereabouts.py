"""Whether the sessions of nodes are held by this admin: the place where that is asked before a command is accepted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from edge_server.admins.service import live_admins
from edge_server.nodes import presence
from edge_server.nodes.domain import NodeId, SelectedNode
from edge_wire.errors import NodeOnOtherAdmin

_NAMES_SHOWN = 3


def held_elsewhere(
    tx: Session, node_ids: Collection[NodeId], *, admin_id: str, may_judge: bool, now: datetime
) -> dict[NodeId, str]:
    """Which other admin has the session of a node, if a live one has it; every admin lives that may not be judged."""
    live = live_admins(tx, now)
    others = {node_id: holder for node_id, holder in presence.holders(tx, node_ids).items() if holder != admin_id}
    return {
        node_id: _admin_at(holder, live.get(holder, ()))
        for node_id, holder in others.items()
        if holder in live or not may_judge
    }


def require_not_elsewhere(tx: Session, nodes: Sequence[SelectedNode], *, admin_id: str, now: datetime) -> None:
    """Raise NodeOnOtherAdmin when another live admin holds a session: that node is not offline, it is not ours."""
    live = live_admins(tx, now)
    elsewhere = [node for node in nodes if node.session_admin_id in live and node.session_admin_id != admin_id]
    if not elsewhere:
        return
    holder = str(elsewhere[0].session_admin_id)
    names = ", ".join(node.name for node in elsewhere[:_NAMES_SHOWN])
    more = f" and {len(elsewhere) - _NAMES_SHOWN} more" if len(elsewhere) > _NAMES_SHOWN else ""
    raise NodeOnOtherAdmin(
        f"the session of {names}{more} is held by {_admin_at(holder, live[holder])}",
        hint=f"log in to that admin: {', '.join(live[holder])}",
    )


def _admin_at(admin_id: str, urls: Sequence[str]) -> str:
    return f"admin {admin_id[:8]} at {', '.join(urls)}" if urls else f"admin {admin_id[:8]}"
