"""Resolving selectors and references to nodes, with few queries however many nodes are named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from edge_server.clusters.service import find_clusters, names_by_id
from edge_server.nodes import repository
from edge_server.nodes.domain import NodeId, Reference, SelectedNode, nearest, parse_reference
from edge_server.nodes.models import NodeRow
from edge_server.principals.domain import Principal
from edge_wire.errors import EdgeError, InvalidValue, NodeAmbiguous, NodeNotFound, NodesNotMatched, SelectorEmpty
from edge_wire.names import printable

REFERENCE_LIMIT = 10_000
"""References in one selector."""
_NAMES_LOOKED_AT = 5_000
_ID_LENGTH = 36


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What an operator asked for."""

    nodes: Sequence[str] = ()
    clusters: Sequence[str] = ()
    all: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is selected."""
        return not (self.nodes or self.clusters or self.all)


def find_one(tx: Session, principal: Principal, text: str) -> NodeRow:
    """The one node of a reference. Raises NodeNotFound, NodeAmbiguous."""
    return _find_each(tx, principal, [text])[0]


def resolve(tx: Session, principal: Principal, selection: Selection) -> list[NodeRow]:
    """Every node selected, once, by name. Raises SelectorEmpty, NodeNotFound, NodeAmbiguous, NodesNotMatched."""
    if selection.is_empty:
        raise SelectorEmpty(hint="edgectl node list shows what there is")
    if len(selection.nodes) > REFERENCE_LIMIT:
        raise InvalidValue(f"{len(selection.nodes)} references are too many: at most {REFERENCE_LIMIT}")
    found = {row.id: row for row in _find_each(tx, principal, selection.nodes)}
    if selection.clusters:
        clusters = find_clusters(tx, selection.clusters)
        for cluster in clusters:
            principal.require_cluster(cluster.id, cluster.name)
        rows = repository.list_in_clusters(tx, [cluster.id for cluster in clusters])
        found |= {row.id: row for row in rows}
    if selection.all:
        found |= {row.id: row for row in repository.list_in_clusters(tx, principal.cluster_ids)}
    if not found:
        raise NodesNotMatched(_nothing_there(selection), hint="edgectl enroll-key create --cluster NAME adds a node")
    return sorted(found.values(), key=lambda row: (row.name, row.id))


def select_nodes(tx: Session, principal: Principal, selection: Selection) -> list[SelectedNode]:
    """As `resolve`, as values for other features."""
    rows = resolve(tx, principal, selection)
    clusters = names_by_id(tx, {row.cluster_id for row in rows})
    return [
        SelectedNode(
            id=NodeId(row.id),
            name=row.name,
            cluster_id=row.cluster_id,
            cluster_name=clusters[row.cluster_id],
            session_admin_id=row.session_admin_id,
        )
        for row in rows
    ]


def _find_each(tx: Session, principal: Principal, texts: Sequence[str]) -> list[NodeRow]:
    references = [parse_reference(text) for text in texts]
    candidates = _gather(tx, references, principal.cluster_ids)
    return [_pick(tx, principal, reference, candidates) for reference in references]


@dataclass(frozen=True, kw_only=True)
class _Candidates:
    """Every node that any of the references may mean, in the shape in which each is looked up at once."""

    by_alias: Mapping[str, Sequence[NodeRow]]
    by_id: Mapping[str, NodeRow]
    by_prefix: Sequence[NodeRow]
    cluster_names: Mapping[str, str]


def _gather(tx: Session, references: Sequence[Reference], scope: Collection[str] | None) -> _Candidates:
    by_alias: dict[str, list[NodeRow]] = defaultdict(list)
    for alias, node in repository.find_by_aliases(tx, {item.alias for item in references if item.alias}, scope):
        by_alias[alias.name].append(node)
    prefixes = {item.id_prefix for item in references if item.id_prefix}
    whole = {prefix for prefix in prefixes if len(prefix) == _ID_LENGTH}
    by_id = {row.id: row for row in repository.find_by_ids(tx, whole, scope)}
    by_prefix = repository.find_by_id_prefixes(tx, prefixes - whole, scope)
    rows = [*by_id.values(), *by_prefix, *(row for found in by_alias.values() for row in found)]
    clusters = names_by_id(tx, {row.cluster_id for row in rows})
    return _Candidates(by_alias=by_alias, by_id=by_id, by_prefix=by_prefix, cluster_names=clusters)


def _pick(tx: Session, principal: Principal, reference: Reference, candidates: _Candidates) -> NodeRow:
    """An alias wins over an id prefix, so a short name never changes its meaning when a node joins."""

    def in_cluster(rows: Iterable[NodeRow]) -> dict[str, NodeRow]:
        names = candidates.cluster_names
        return {row.id: row for row in rows if reference.cluster in {None, names[row.cluster_id]}}

    found = in_cluster(candidates.by_alias.get(reference.alias or "", ()))
    prefix = reference.id_prefix
    if not found and prefix:
        exact = candidates.by_id.get(prefix)
        fitting = [row for row in candidates.by_prefix if row.id.startswith(prefix)] if exact is None else [exact]
        found = in_cluster(fitting)
    if not found:
        raise _not_found(tx, principal, reference)
    if len(found) > 1:
        raise _ambiguous(reference, found.values(), candidates.cluster_names)
    return next(iter(found.values()))


def _not_found(tx: Session, principal: Principal, reference: Reference) -> EdgeError:
    known = repository.list_names(tx, principal.cluster_ids, _NAMES_LOOKED_AT)
    near = nearest(reference.alias or reference.text, known)
    hint = f"did you mean {', '.join(near)}?" if near else "edgectl node list"
    return NodeNotFound(f"there is no node {printable(reference.text)!r}", hint=hint)


def _ambiguous(reference: Reference, rows: Collection[NodeRow], cluster_names: Mapping[str, str]) -> EdgeError:
    shown = sorted(f"{row.name}.{cluster_names[row.cluster_id]} ({row.id})" for row in rows)[:5]
    return NodeAmbiguous(
        f"{printable(reference.text)!r} fits {len(rows)} nodes: {', '.join(shown)}",
        hint="use alias.cluster or more of the id",
    )


def _nothing_there(selection: Selection) -> str:
    if selection.clusters:
        return f"there is no node in {', '.join(printable(name) for name in selection.clusters)}"
    return "there is no node yet"
