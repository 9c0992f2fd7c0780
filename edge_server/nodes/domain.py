"""Nodes as values: references, selection, facts and status. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, NewType

from edge_wire import names

NodeId = NewType("NodeId", str)

ID_PREFIX_LENGTH = 4
CONFLICT_SHOWN_FOR = timedelta(minutes=10)
"""How long a node shows `conflict` after a second machine last claimed its identity."""
SUPERSEDED_KEPT = 32

_ID_OR_PREFIX = re.compile(r"[0-9a-f]{4}[0-9a-f-]{0,32}")
_TEXT_LIMIT = 128


class NodeStatus(StrEnum):
    """How a node does right now."""

    ONLINE = "online"
    UNHEALTHY = "unhealthy"
    OFFLINE = "offline"
    CONFLICT = "conflict"


@dataclass(frozen=True, kw_only=True)
class NodeIdentity:
    """A node as its credential proves it."""

    id: NodeId
    name: str
    cluster_id: str
    cluster_name: str


class Presence(NamedTuple):
    """Who holds the session of a node, as far as it is stored."""

    id: NodeId
    epoch: int
    admin_id: str | None
    instance_id: str | None
    """The agent start that had the last session."""
    superseded: Sequence[str]
    """Agent starts that were replaced, newest last."""
    last_seen_at: datetime | None
    conflict_at: datetime | None


class SelectedNode(NamedTuple):
    """A node that a selector matched, as it was at that moment."""

    id: NodeId
    name: str
    cluster_id: str
    session_admin_id: str | None
    """The admin that holds its session, as far as the database knows."""
    cluster_name: str = ""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A node with everything that rules about nodes look at."""

    id: NodeId
    cluster_id: str
    cluster_name: str
    aliases: Sequence[str]
    labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What a node reference may mean; a node fits when any part fits."""

    text: str
    alias: str | None = None
    cluster: str | None = None
    id_prefix: str | None = None


@dataclass(frozen=True, kw_only=True)
class Node:
    """One enrolled agent installation."""

    id: NodeId
    name: str
    cluster_id: str
    cluster_name: str
    labels: Mapping[str, str]
    aliases: Sequence[str]
    status: NodeStatus
    last_seen_at: datetime | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    agent_version: str = ""
    enrolled_at: datetime
    clock_skew_ms: int = 0


def parse_reference(text: str, domain: str = names.DOMAIN) -> Reference:
    """Read alias, alias.cluster, id, id prefix or DNS form. Never fails: what fits nothing finds nothing."""
    word = text.strip().rstrip(".").lower()
    first, _, rest = word.partition(".")
    # A cluster may itself be called cluster-x: without node- and the domain, `a.cluster-x` is alias and cluster.
    if names.is_dns_form(word, domain):
        cluster = rest.removeprefix("cluster-").removesuffix(f".{domain}")
        return _node_part(text, first.removeprefix("node-"), cluster)
    if first.startswith("node-"):
        first = first.removeprefix("node-")
    return _node_part(text, first, rest or None)


def _node_part(text: str, part: str, cluster: str | None) -> Reference:
    return Reference(
        text=text,
        alias=part if names.is_alias(part) else None,
        cluster=cluster,
        id_prefix=part if _ID_OR_PREFIX.fullmatch(part) else None,
    )


def status_of(*, is_connected: bool, conflict_at: datetime | None, now: datetime) -> NodeStatus:
    """How a node does, from its session and its last conflict."""
    if conflict_at is not None and now - conflict_at < CONFLICT_SHOWN_FOR:
        return NodeStatus.CONFLICT
    return NodeStatus.ONLINE if is_connected else NodeStatus.OFFLINE


def bounded_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as they are stored: texts are cut and made printable, because a node may send anything."""
    return {
        name: names.printable(value, _TEXT_LIMIT) if isinstance(value, str) else value for name, value in facts.items()
    }


def nearest(wanted: str, known: Sequence[str], count: int = 3) -> list[str]:
    """Names that someone who typed `wanted` may have meant."""
    return difflib.get_close_matches(wanted, known, n=count, cutoff=0.6)
