"""SQL of nodes, aliases and labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from edge_server.db.chunks import chunks
from edge_server.nodes.domain import NodeId, Presence, SelectedNode
from edge_server.nodes.models import AliasRow, LabelRow, NodeRow


def find(tx: Session, node_id: str) -> NodeRow | None:
    """One node by id."""
    return tx.get(NodeRow, node_id)


def lock_presences(tx: Session, ids: Collection[str]) -> dict[NodeId, Presence]:
    """Who holds the sessions of these nodes, locked until the transaction ends; in one order, whoever locks them."""
    found: dict[NodeId, Presence] = {}
    row = NodeRow
    columns = select(
        row.id,
        row.session_epoch,
        row.session_admin_id,
        row.session_instance_id,
        row.superseded_instances,
        row.last_seen_at,
        row.conflict_at,
    )
    for chunk in chunks(sorted(ids)):
        query = columns.where(row.id.in_(chunk)).order_by(row.id).with_for_update()
        found |= {each.id: each for each in map(_to_presence, tx.execute(query))}
    return found


def lock(tx: Session, node_id: str) -> NodeRow | None:
    """One node, locked until the transaction ends."""
    return tx.scalar(select(NodeRow).where(NodeRow.id == node_id).with_for_update())


def find_by_token_hashes(tx: Session, token_hashes: Sequence[bytes]) -> dict[bytes, tuple[str, str, str]]:
    """Hash of a token → id, name and cluster id of its node."""
    row = NodeRow
    query = select(row.token_hash, row.id, row.name, row.cluster_id).where(row.token_hash.in_(token_hashes))
    return {token_hash: (node_id, name, cluster_id) for token_hash, node_id, name, cluster_id in tx.execute(query)}


def find_by_fingerprint(tx: Session, fingerprint: bytes) -> NodeRow | None:
    """The node of a key pair."""
    return tx.scalar(select(NodeRow).where(NodeRow.key_fingerprint == fingerprint))


def find_by_ids(tx: Session, ids: Collection[str]) -> list[NodeRow]:
    """Nodes with any of these ids."""
    return [row for chunk in chunks(sorted(ids)) for row in tx.scalars(select(NodeRow).where(NodeRow.id.in_(chunk)))]


# What selecting needs of a node and no more: facts and certificates of thousands would be read for nothing.
_SELECTED = (NodeRow.id, NodeRow.name, NodeRow.cluster_id, NodeRow.session_admin_id)
_ALL = select(*_SELECTED)
_NODES: Any = NodeRow.__table__
_CLOSE_SESSION = (
    update(_NODES)
    .where(_NODES.c.id == bindparam("of_id"), _NODES.c.session_epoch == bindparam("of_epoch"))
    .values(session_admin_id=None, last_seen_at=bindparam("now", type_=_NODES.c.last_seen_at.type))
)
"""Put together once: after an outage all nodes come and go at once."""


def select_by_aliases(
    tx: Session, aliases: Collection[str], scope: Collection[str] | None
) -> list[tuple[str, SelectedNode]]:
    """Every alias of these names in scope, with its node."""
    found: list[tuple[str, SelectedNode]] = []
    for chunk in chunks(sorted(aliases)):
        query = select(AliasRow.name, *_SELECTED).join(NodeRow, NodeRow.id == AliasRow.node_id)
        rows = tx.execute(_in_scope(query.where(AliasRow.name.in_(chunk)), scope))
        found += [(row[0], _to_selected(row[1:])) for row in rows]
    return found


def select_by_ids(tx: Session, ids: Collection[str], scope: Collection[str] | None) -> list[SelectedNode]:
    """Nodes with any of these ids."""
    found: list[SelectedNode] = []
    for chunk in chunks(sorted(ids)):
        rows = tx.execute(_in_scope(select(*_SELECTED).where(NodeRow.id.in_(chunk)), scope))
        found += [_to_selected(row) for row in rows]
    return found


def select_by_id_prefixes(tx: Session, prefixes: Collection[str], scope: Collection[str] | None) -> list[SelectedNode]:
    """Nodes whose id begins with any of these."""
    found: list[SelectedNode] = []
    for chunk in chunks(sorted(prefixes)):
        fits = or_(*(NodeRow.id.startswith(prefix, autoescape=True) for prefix in chunk))
        found += [_to_selected(row) for row in tx.execute(_in_scope(select(*_SELECTED).where(fits), scope))]
    return found


def select_in_clusters(tx: Session, cluster_ids: Collection[str] | None) -> list[SelectedNode]:
    """All nodes of these clusters, or all there are."""
    return [_to_selected(row) for row in tx.execute(_in_scope(_ALL, cluster_ids))]


def label_values(tx: Session, name: str, scope: Collection[str] | None) -> dict[NodeId, str]:
    """Node id → value of this label, of every node that has it."""
    query = select(LabelRow.node_id, LabelRow.value).join(NodeRow, NodeRow.id == LabelRow.node_id)
    rows = tx.execute(_in_scope(query.where(LabelRow.name == name), scope))
    return {NodeId(node_id): value for node_id, value in rows}


def list_label_names(tx: Session, scope: Collection[str] | None) -> Sequence[str]:
    """Every label name in use."""
    query = select(LabelRow.name).join(NodeRow, NodeRow.id == LabelRow.node_id).distinct()
    return tx.scalars(_in_scope(query, scope)).all()


def list_page(
    tx: Session,
    *,
    scope: Collection[str] | None,
    after: tuple[str, str] | None,
    limit: int,
) -> Sequence[NodeRow]:
    """A page of nodes by name, after one (name, id)."""
    query = _in_scope(select(NodeRow), scope).order_by(NodeRow.name, NodeRow.id).limit(limit)
    if after is not None:
        query = query.where(tuple_(NodeRow.name, NodeRow.id) > after)
    return tx.scalars(query).all()


def list_names(tx: Session, scope: Collection[str] | None, limit: int) -> Sequence[str]:
    """Names of nodes, for saying which ones come near."""
    return tx.scalars(_in_scope(select(NodeRow.name), scope).limit(limit)).all()


def labels_of(tx: Session, node_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Node id → labels."""
    found: dict[str, dict[str, str]] = {node_id: {} for node_id in node_ids}
    for chunk in chunks(node_ids):
        for row in tx.scalars(select(LabelRow).where(LabelRow.node_id.in_(chunk)).order_by(LabelRow.name)):
            found[row.node_id][row.name] = row.value
    return found


def aliases_of(tx: Session, node_ids: Sequence[str]) -> dict[str, list[str]]:
    """Node id → aliases, oldest first."""
    found: dict[str, list[str]] = {node_id: [] for node_id in node_ids}
    for chunk in chunks(node_ids):
        for row in tx.scalars(select(AliasRow).where(AliasRow.node_id.in_(chunk)).order_by(AliasRow.id)):
            found[row.node_id].append(row.name)
    return found


def count_by_cluster(tx: Session) -> dict[str, int]:
    """Cluster id → number of nodes."""
    rows = tx.execute(select(NodeRow.cluster_id, func.count()).group_by(NodeRow.cluster_id))
    return {row[0]: row[1] for row in rows}


def count_in_scope(tx: Session, scope: Collection[str] | None) -> int:
    """How many nodes there are."""
    return tx.scalar(_in_scope(select(func.count()).select_from(NodeRow), scope)) or 0


def find_alias(tx: Session, cluster_id: str, name: str) -> AliasRow | None:
    """One alias."""
    return tx.scalar(select(AliasRow).where(AliasRow.cluster_id == cluster_id, AliasRow.name == name))


def add_alias(tx: Session, node: NodeRow, name: str) -> None:
    """One more name. Raises IntegrityError when it is taken."""
    tx.add(AliasRow(node_id=node.id, cluster_id=node.cluster_id, name=name))
    tx.flush()


def move_aliases(tx: Session, node: NodeRow) -> None:
    """Take the aliases to the node's cluster. Raises IntegrityError when one is taken there."""
    tx.execute(update(AliasRow).where(AliasRow.node_id == node.id).values(cluster_id=node.cluster_id))


def set_labels(tx: Session, node_id: str, labels: dict[str, str]) -> None:
    """Add or replace labels."""
    for name, value in labels.items():
        tx.merge(LabelRow(node_id=node_id, name=name, value=value))


def remove_labels(tx: Session, node_id: str, label_names: Collection[str]) -> None:
    """Remove labels by name; missing ones are no error."""
    tx.execute(delete(LabelRow).where(LabelRow.node_id == node_id, LabelRow.name.in_(label_names)))


def labels_with_prefix(tx: Session, node_ids: Collection[str], prefix: str) -> dict[str, dict[str, str]]:
    """Node id → labels whose names begin so, of those that have one."""
    found: dict[str, dict[str, str]] = {}
    fits = LabelRow.name.startswith(prefix, autoescape=True)
    for chunk in chunks(sorted(node_ids)):
        query = select(LabelRow.node_id, LabelRow.name, LabelRow.value).where(LabelRow.node_id.in_(chunk), fits)
        for node_id, name, value in tx.execute(query):
            found.setdefault(node_id, {})[name] = value
    return found


def write_nodes(tx: Session, values: Sequence[Mapping[str, Any]]) -> None:
    """Set columns of nodes that are locked, the same ones of each; `id` says which."""
    if not values:
        return
    names = [name for name in values[0] if name != "id"]
    statement = update(_NODES).where(_NODES.c.id == bindparam("of_id"))
    statement = statement.values({name: bindparam(f"new_{name}", type_=_NODES.c[name].type) for name in names})
    rows = [{"of_id": row["id"], **{f"new_{name}": row[name] for name in names}} for row in values]
    tx.connection().execute(statement, rows)


def close_session(tx: Session, *, node_id: str, epoch: int, now: datetime) -> bool:
    """Clear the holder, unless a newer session took its place."""
    closed = tx.connection().execute(_CLOSE_SESSION, {"of_id": node_id, "of_epoch": epoch, "now": now})
    return _row_count(closed) == 1


def touch(tx: Session, *, admin_id: str, now: datetime) -> None:
    """Note that every node with a session here is alive."""
    tx.execute(
        update(NodeRow)
        .where(NodeRow.session_admin_id == admin_id)
        .values(last_seen_at=now)
        .execution_options(synchronize_session=False)
    )


def clear_holder(tx: Session, admin_id: str | None) -> None:
    """Nobody holds the sessions that this admin held; None means any admin."""
    held: ColumnElement[bool] = NodeRow.session_admin_id.is_not(None)
    if admin_id is not None:
        held = NodeRow.session_admin_id == admin_id
    tx.execute(update(NodeRow).where(held).values(session_admin_id=None).execution_options(synchronize_session=False))


def _to_presence(row: Any) -> Presence:
    return Presence(*row)


def _to_selected(row: Any) -> SelectedNode:
    node_id, name, cluster_id, session_admin_id = row
    return SelectedNode(NodeId(node_id), name, cluster_id, session_admin_id)


def _in_scope(query: Any, scope: Collection[str] | None) -> Any:
    return query if scope is None else query.where(NodeRow.cluster_id.in_(scope))


def _row_count(result: Any) -> int:
    return int(result.rowcount)
