"""Resolving selectors and references to nodes, with few queries however many nodes are named."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from edge_server.admins.service import live_admins
from edge_server.clusters.service import find_clusters, names_by_id
from edge_server.nodes import repository
from edge_server.nodes.domain import NodeId, Reference, SelectedNode, nearest, parse_reference
from edge_server.nodes.expressions import (
    FOLDED_LIMIT,
    NAMES_LIMIT,
    CommandNodes,
    Names,
    Requirement,
    Term,
    evaluate,
    fold,
    parse_expression,
    parse_requirements,
)
from edge_server.nodes.models import NodeRow
from edge_server.principals.domain import Principal
from edge_wire.errors import (
    EdgeError,
    InvalidValue,
    LabelUnknown,
    NodeAmbiguous,
    NodeNotFound,
    NodesNotMatched,
    SelectorEmpty,
)
from edge_wire.names import printable, quoted

_NAMES_LOOKED_AT = 5_000
_ID_LENGTH = 36

NodesOfCommand = Callable[[Session, Principal, str, Sequence[str]], Collection[NodeId]]
"""The nodes on which a command, by id or prefix, ended in one of these outcomes; all of its nodes without any."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What an operator asked for; as the message Selector has it."""

    nodes: Sequence[str] = ()
    clusters: Sequence[str] = ()
    all: bool = False
    labels: Sequence[str] = ()
    exclude: Sequence[str] = ()
    online: bool = False
    pick: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked for, not even to leave something out."""
        return not (self.has_source or self.exclude or self.online or self.pick)

    @property
    def has_source(self) -> bool:
        """Whether something gives nodes, and does not only narrow."""
        return bool(self.nodes or self.clusters or self.all or self.labels)


@dataclass(frozen=True, kw_only=True)
class EarlierCommands:
    """What selectors may ask about commands."""

    outcomes: Collection[str]
    nodes_of: NodesOfCommand


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What selecting needs beside the nodes."""

    now: datetime
    commands: EarlierCommands


def find_one(tx: Session, principal: Principal, text: str) -> NodeRow:
    """The one node of a reference. Raises NodeNotFound, NodeAmbiguous."""
    found = _find_each(tx, principal, [text])[text]
    row = repository.find(tx, found.id)
    assert row is not None  # it was there in this transaction
    return row


def find_selected(tx: Session, principal: Principal, text: str) -> SelectedNode:
    """The one node of a reference, as selectors give them. Raises NodeNotFound, NodeAmbiguous."""
    node = _find_each(tx, principal, [text])[text]
    return node._replace(cluster_name=names_by_id(tx, {node.cluster_id})[node.cluster_id])


def resolve(tx: Session, principal: Principal, selection: Selection, around: Surroundings) -> list[SelectedNode]:
    """Every node selected, once, by name.

    Raises SelectorEmpty, SelectorInvalid, NodeNotFound, NodeAmbiguous, LabelUnknown, CommandNotFound, NodesNotMatched.
    """
    if not selection.has_source:
        hint = "edgectl node list shows what there is"
        raise SelectorEmpty(hint="add --all to narrow what there is" if not selection.is_empty else hint)
    found = _gather_sources(tx, principal, selection, around)
    found = _narrow(tx, principal, selection, around, found)
    if not found:
        raise NodesNotMatched(_nothing_there(selection), hint=_how_to_match(selection))
    names = names_by_id(tx, {node.cluster_id for node in found.values()})
    nodes = [node._replace(cluster_name=names[node.cluster_id]) for node in found.values()]
    return sorted(nodes, key=lambda node: (node.name, node.id))


Found = dict[NodeId, SelectedNode]


def _gather_sources(tx: Session, principal: Principal, selection: Selection, around: Surroundings) -> Found:
    scope = principal.cluster_ids
    found = _evaluate_all(tx, principal, selection.nodes, around)
    if selection.clusters:
        clusters = find_clusters(tx, selection.clusters)
        for cluster in clusters:
            principal.require_cluster(cluster.id, cluster.name)
        found |= _by_id(repository.select_in_clusters(tx, [cluster.id for cluster in clusters]))
    if selection.all or not (selection.nodes or selection.clusters):
        found |= _by_id(repository.select_in_clusters(tx, scope))
    return found


def _narrow(tx: Session, principal: Principal, selection: Selection, around: Surroundings, found: Found) -> Found:
    for requirement in parse_requirements(selection.labels):
        values = _label_values(tx, principal, requirement)
        found = {key: node for key, node in found.items() if requirement.holds(values.get(key))}
    if selection.online:
        live = live_admins(tx, around.now)
        found = {key: node for key, node in found.items() if node.session_admin_id in live}
    for key in _evaluate_all(tx, principal, selection.exclude, around):
        found.pop(key, None)
    if 0 < selection.pick < len(found):
        return {key: found[key] for key in random.SystemRandom().sample(sorted(found), selection.pick)}
    return found


def _label_values(tx: Session, principal: Principal, requirement: Requirement) -> Mapping[NodeId, str]:
    """Node → value of this label.

    A name that no node has is a mistake, all the more behind a `!`: it would match all.
    """
    values = repository.label_values(tx, requirement.name, principal.cluster_ids)
    if not values:
        near = nearest(requirement.name, repository.list_label_names(tx, principal.cluster_ids))
        hint = f"did you mean {', '.join(near)}?" if near else "edgectl node list shows labels"
        raise LabelUnknown(f"no node has a label {quoted(requirement.name)}", hint=hint)
    wanted = requirement.value
    if wanted is not None and wanted not in values.values() and not requirement.is_negated:
        near = nearest(wanted, sorted(set(values.values())))
        hint = f"did you mean {', '.join(f'{requirement.name}={value}' for value in near)}?" if near else ""
        raise NodesNotMatched(
            f"no node has {printable(str(requirement))}", hint=hint or "edgectl node list shows labels"
        )
    return values


# --- expressions -----------------------------------------------------------------------------------------------------


def _evaluate_all(tx: Session, principal: Principal, texts: Sequence[str], around: Surroundings) -> Found:
    """The nodes of all expressions together; every reference in them is looked up at once."""
    if not texts:
        return {}
    _require_few(texts)
    expressions = [parse_expression(text, around.commands.outcomes) for text in texts]
    references = dict.fromkeys(reference for terms in expressions for reference in _references(terms))
    known = _find_each(tx, principal, list(references))
    found: Found = {node.id: node for node in known.values()}

    def nodes_of(part: Names | CommandNodes) -> set[NodeId]:
        if isinstance(part, Names):
            return {known[reference].id for reference in part.references}
        ids = around.commands.nodes_of(tx, principal, part.command, part.outcomes)
        rows = _by_id(repository.select_by_ids(tx, ids, principal.cluster_ids))
        found.update(rows)
        return set(rows)

    selected = {key for terms in expressions for key in evaluate(terms, nodes_of)}
    return {key: found[key] for key in selected}


def _references(terms: Iterable[Term]) -> Iterable[str]:
    for term in terms:
        if isinstance(term.nodes, Names):
            yield from term.nodes.references


def _by_id(nodes: Iterable[SelectedNode]) -> Found:
    return {node.id: node for node in nodes}


# --- references ------------------------------------------------------------------------------------------------------


def _find_each(tx: Session, principal: Principal, texts: Sequence[str]) -> dict[str, SelectedNode]:
    """Each reference with its node. Raises NodeNotFound for all that fit none, NodeAmbiguous, InvalidValue."""
    _require_few(texts)
    references = [parse_reference(text) for text in texts]
    candidates = _gather(tx, references, principal.cluster_ids)
    picked = {reference.text: _pick(reference, candidates) for reference in references}
    missing = [reference for reference in references if picked[reference.text] is None]
    if missing:
        raise _not_found(tx, principal, missing)
    return {text: node for text, node in picked.items() if node is not None}


def _require_few(texts: Sequence[str]) -> None:
    if len(texts) > NAMES_LIMIT:
        raise InvalidValue(f"{len(texts)} references are too many: at most {NAMES_LIMIT}")


@dataclass(frozen=True, kw_only=True)
class _Candidates:
    """Every node that any of the references may mean, in the shape in which each is looked up at once."""

    by_alias: Mapping[str, Sequence[SelectedNode]]
    by_id: Mapping[str, SelectedNode]
    by_prefix: Sequence[SelectedNode]
    cluster_names: Mapping[str, str]


def _gather(tx: Session, references: Sequence[Reference], scope: Collection[str] | None) -> _Candidates:
    by_alias: dict[str, list[SelectedNode]] = defaultdict(list)
    for alias, node in repository.select_by_aliases(tx, {item.alias for item in references if item.alias}, scope):
        by_alias[alias].append(node)
    prefixes = {item.id_prefix for item in references if item.id_prefix}
    whole = {prefix for prefix in prefixes if len(prefix) == _ID_LENGTH}
    by_id = {str(node.id): node for node in repository.select_by_ids(tx, whole, scope)}
    by_prefix = repository.select_by_id_prefixes(tx, prefixes - whole, scope)
    nodes = [*by_id.values(), *by_prefix, *(node for found in by_alias.values() for node in found)]
    clusters = names_by_id(tx, {node.cluster_id for node in nodes})
    return _Candidates(by_alias=by_alias, by_id=by_id, by_prefix=by_prefix, cluster_names=clusters)


def _pick(reference: Reference, candidates: _Candidates) -> SelectedNode | None:
    """An alias wins over an id prefix, so a short name never changes its meaning when a node joins."""

    def in_cluster(nodes: Iterable[SelectedNode]) -> Found:
        names = candidates.cluster_names
        return {node.id: node for node in nodes if reference.cluster in {None, names[node.cluster_id]}}

    found = in_cluster(candidates.by_alias.get(reference.alias or "", ()))
    prefix = reference.id_prefix
    if not found and prefix:
        exact = candidates.by_id.get(prefix)
        fitting = [node for node in candidates.by_prefix if node.id.startswith(prefix)] if exact is None else [exact]
        found = in_cluster(fitting)
    if len(found) > 1:
        raise _ambiguous(reference, found.values(), candidates.cluster_names)
    return next(iter(found.values()), None)


def _not_found(tx: Session, principal: Principal, missing: Sequence[Reference]) -> EdgeError:
    known = repository.list_names(tx, principal.cluster_ids, _NAMES_LOOKED_AT)
    near = nearest(missing[0].alias or missing[0].text, list(dict.fromkeys(known)))
    hint = f"did you mean {', '.join(near)}?" if near else "edgectl node list"
    if len(missing) > FOLDED_LIMIT:
        return NodeNotFound(f"{len(missing)} of the names are no nodes", hint=hint)
    if len(missing) > 1:
        return NodeNotFound(f"there are no nodes {fold([item.text for item in missing])}", hint=hint)
    return NodeNotFound(f"there is no node {quoted(missing[0].text)}", hint=hint)


def _ambiguous(reference: Reference, nodes: Collection[SelectedNode], cluster_names: Mapping[str, str]) -> EdgeError:
    shown = sorted(f"{node.name}.{cluster_names[node.cluster_id]} ({node.id})" for node in nodes)[:5]
    return NodeAmbiguous(
        f"{quoted(reference.text)} fits {len(nodes)} nodes: {', '.join(shown)}",
        hint="use alias.cluster or more of the id",
    )


# --- what to say when nothing is left --------------------------------------------------------------------------------


def _nothing_there(selection: Selection) -> str:
    wanted = ", ".join(printable(text) for text in (*selection.nodes, *selection.clusters))
    told = [f"in {wanted}"] if wanted else []
    told += [f"with {printable(','.join(selection.labels))}"] if selection.labels else []
    told += ["online"] if selection.online else []
    told += [f"outside of {printable(','.join(selection.exclude))}"] if selection.exclude else []
    return f"there is no node {' '.join(told)}" if told else "there is no node yet"


def _how_to_match(selection: Selection) -> str:
    if selection.labels or selection.online or selection.exclude or selection.nodes:
        return "edgectl node list shows what there is"
    return "edgectl enroll-key create --cluster NAME adds a node"
