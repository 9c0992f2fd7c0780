"""Use cases of nodes, and the questions that other features ask about them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from edge_server.admins.service import live_admins
from edge_server.audit.service import Change, record
from edge_server.clusters.service import find_visible_cluster, lock_cluster, names_by_id, require_room
from edge_server.db.database import Database
from edge_server.db.shared_transactions import Batches
from edge_server.nodes import repository
from edge_server.nodes.domain import Node, NodeId, NodeIdentity, SelectedNode, status_of
from edge_server.nodes.models import NodeRow
from edge_server.nodes.selection import EarlierCommands, Selection, Surroundings, find_one, resolve
from edge_server.principals.domain import Caller
from edge_wire import credentials, names
from edge_wire.errors import AliasExists, AliasNotFound, Conflict, Unauthenticated

LARGEST_PAGE = 1000
OnDelete = Callable[[Session, NodeId, datetime], None]
"""Told, inside the transaction, that a node goes."""
AfterDelete = Callable[[NodeId], None]
"""Told, after the commit, that a node is gone."""


def count_by_cluster(tx: Session) -> dict[str, int]:
    """Cluster id → number of nodes."""
    return repository.count_by_cluster(tx)


def identity_of(tx: Session, row: NodeRow) -> NodeIdentity:
    """A node as its credential proves it."""
    cluster_name = names_by_id(tx, [row.cluster_id])[row.cluster_id]
    return NodeIdentity(id=NodeId(row.id), name=row.name, cluster_id=row.cluster_id, cluster_name=cluster_name)


def _identities(tx: Session, token_hashes: Sequence[bytes]) -> list[NodeIdentity | None]:
    """The node of each token, or None."""
    found = repository.find_by_token_hashes(tx, token_hashes)
    clusters = names_by_id(tx, {cluster_id for _, _, cluster_id in found.values()})
    identities = {
        token_hash: NodeIdentity(
            id=NodeId(node_id), name=name, cluster_id=cluster_id, cluster_name=clusters[cluster_id]
        )
        for token_hash, (node_id, name, cluster_id) in found.items()
    }
    return [identities.get(token_hash) for token_hash in token_hashes]


class NodeService:
    """Nodes as operators see and change them."""

    def __init__(
        self,
        *,
        db: Database,
        now: Callable[[], datetime],
        earlier_commands: EarlierCommands,
        on_delete: OnDelete,
        after_delete: AfterDelete,
    ) -> None:
        self._db = db
        self._identities: Batches[bytes, NodeIdentity | None] = Batches(db.read, _identities)
        self._now = now
        self._earlier_commands = earlier_commands
        self._on_delete = on_delete
        self._after_delete = after_delete

    async def authenticate(self, token: str) -> NodeIdentity:
        """The node of a token. Raises Unauthenticated."""
        found = await self._identities.ask(credentials.hash_token(token))
        if found is None:
            raise Unauthenticated("no node has this credential; it may have been deleted")
        return found

    async def list_page(
        self, caller: Caller, selection: Selection, *, after: tuple[str, str] | None, page_size: int
    ) -> tuple[list[Node], tuple[str, str] | None]:
        """A page of nodes by name, and where to continue."""
        limit = min(page_size or LARGEST_PAGE, LARGEST_PAGE)

        def work(tx: Session) -> tuple[list[Node], bool]:
            if selection.is_empty:
                scope = caller.principal.cluster_ids
                rows = repository.list_page(tx, scope=scope, after=after, limit=limit + 1)
            else:
                around = Surroundings(now=self._now(), commands=self._earlier_commands)
                # A list may be narrowed without naming anything: nothing is run on it.
                listed = selection if selection.has_source else replace(selection, all=True)
                rows = _selected_page(tx, resolve(tx, caller.principal, listed, around), after, limit + 1)
            return self._to_nodes(tx, rows[:limit]), len(rows) > limit

        page, has_more = await self._db.read(work)
        return page, (page[-1].name, page[-1].id) if has_more else None

    async def count(self, caller: Caller) -> int:
        """How many nodes the caller may see."""
        return await self._db.read(lambda tx: repository.count_in_scope(tx, caller.principal.cluster_ids))

    async def get(self, caller: Caller, reference: str) -> Node:
        """One node. Raises NodeNotFound, NodeAmbiguous."""
        return await self._db.read(lambda tx: self._to_nodes(tx, [find_one(tx, caller.principal, reference)])[0])

    async def update_labels(
        self, caller: Caller, reference: str, *, set_labels: Mapping[str, str], unset: Collection[str]
    ) -> Node:
        """Set and remove labels. Raises LabelInvalid, NodeNotFound."""
        checked = names.check_labels(set_labels)

        def work(tx: Session, row: NodeRow) -> Mapping[str, str]:
            repository.remove_labels(tx, row.id, unset)
            repository.set_labels(tx, row.id, checked)
            names.check_labels(_operator_labels(repository.labels_of(tx, [row.id])[row.id]))
            return {"set": ",".join(sorted(checked)), "unset": ",".join(sorted(unset))}

        return await self._change(caller, reference, "node.update", work)

    async def add_alias(self, caller: Caller, reference: str, alias: str) -> Node:
        """One more name. Raises NameInvalid, AliasExists."""
        names.check_alias(alias)

        def work(tx: Session, row: NodeRow) -> Mapping[str, str]:
            _add_alias(tx, row, alias)
            return {"alias": alias}

        return await self._change(caller, reference, "node.add_alias", work)

    async def remove_alias(self, caller: Caller, reference: str, alias: str) -> Node:
        """One name less. Raises AliasNotFound."""

        def work(tx: Session, row: NodeRow) -> Mapping[str, str]:
            found = repository.find_alias(tx, row.cluster_id, alias)
            if found is None or found.node_id != row.id:
                raise AliasNotFound(
                    f"{row.name} has no alias {names.quoted(alias)}", hint=f"edgectl node show {row.id}"
                )
            tx.delete(found)
            tx.flush()
            rename(tx, row)
            return {"alias": alias}

        return await self._change(caller, reference, "node.remove_alias", work)

    async def move(self, caller: Caller, reference: str, cluster_name: str) -> Node:
        """Another cluster. Raises ClusterNotFound, AliasExists, NodeLimitReached."""

        def work(tx: Session, row: NodeRow) -> Mapping[str, str]:
            target = lock_cluster(tx, find_visible_cluster(tx, caller.principal, cluster_name).id)
            if target.id == row.cluster_id:
                raise Conflict(f"{row.name} is in {cluster_name} already")
            require_room(target, repository.count_by_cluster(tx).get(target.id, 0))
            row.cluster_id = target.id
            tx.flush()
            try:
                repository.move_aliases(tx, row)
            except IntegrityError:
                raise AliasExists(
                    f"a node of {cluster_name} has one of the aliases of {row.name}",
                    hint=f"edgectl node alias {row.id} NAME --delete takes one away",
                ) from None
            return {"to": cluster_name}

        return await self._change(caller, reference, "node.move", work)

    async def delete(self, caller: Caller, reference: str) -> None:
        """Delete a node. Its open executions end, its session closes."""

        def work(tx: Session) -> NodeId:
            row = find_one(tx, caller.principal, reference)
            _record(tx, caller, "node.delete", row, {}, self._now())
            self._on_delete(tx, NodeId(row.id), self._now())
            tx.delete(row)
            return NodeId(row.id)

        self._after_delete(await self._db.write(work))

    async def _change(
        self,
        caller: Caller,
        reference: str,
        action: str,
        work: Callable[[Session, NodeRow], Mapping[str, str]],
    ) -> Node:
        """Find, lock, change, record and show one node in one transaction."""

        def transaction(tx: Session) -> Node:
            row = repository.lock(tx, find_one(tx, caller.principal, reference).id)
            if row is None:
                raise Conflict("the node was deleted meanwhile")
            details = work(tx, row)
            _record(tx, caller, action, row, details, self._now())
            tx.flush()
            return self._to_nodes(tx, [row])[0]

        return await self._db.write(transaction)

    def _to_nodes(self, tx: Session, rows: Sequence[NodeRow]) -> list[Node]:
        ids = [row.id for row in rows]
        labels, aliases = repository.labels_of(tx, ids), repository.aliases_of(tx, ids)
        clusters = names_by_id(tx, {row.cluster_id for row in rows})
        now = self._now()
        live = live_admins(tx, now)
        return [
            Node(
                id=NodeId(row.id),
                name=row.name,
                cluster_id=row.cluster_id,
                cluster_name=clusters[row.cluster_id],
                labels=labels[row.id],
                aliases=aliases[row.id],
                status=status_of(is_connected=row.session_admin_id in live, conflict_at=row.conflict_at, now=now),
                last_seen_at=row.last_seen_at,
                facts=row.facts,
                agent_version=row.agent_version,
                enrolled_at=row.enrolled_at,
                clock_skew_ms=row.clock_skew_ms,
            )
            for row in rows
        ]


def _selected_page(
    tx: Session, selected: Sequence[SelectedNode], after: tuple[str, str] | None, limit: int
) -> Sequence[NodeRow]:
    ids = [node.id for node in selected if after is None or (node.name, node.id) > after][:limit]
    rows = {row.id: row for row in repository.find_by_ids(tx, ids)}
    return [rows[node_id] for node_id in ids]


def rename(tx: Session, row: NodeRow) -> None:
    """Keep the stored name in step with the aliases."""
    aliases = repository.aliases_of(tx, [row.id])[row.id]
    row.name = names.node_name(row.id, aliases[0] if aliases else None)


def _add_alias(tx: Session, row: NodeRow, alias: str) -> None:
    try:
        repository.add_alias(tx, row, alias)
    except IntegrityError:
        raise AliasExists(f"a node of this cluster has the alias {alias}", hint=f"edgectl node show {alias}") from None
    rename(tx, row)


def _operator_labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if not name.startswith(names.AGENT_LABEL_PREFIX)}


def _record(tx: Session, caller: Caller, action: str, row: NodeRow, details: Mapping[str, str], now: datetime) -> None:
    cluster = names_by_id(tx, [row.cluster_id])[row.cluster_id]
    change = Change(action=action, subject_id=row.id, subject_name=row.name, cluster=cluster, details=details)
    record(tx, caller, change, now)
