"""Clusters as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A group of nodes that trust each other."""

    id: str
    name: str
    node_count: int
    node_limit: int | None
    created_at: datetime
