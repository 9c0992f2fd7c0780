"""The words that pick nodes: options that several commands share, and what was typed with them."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_wire.errors import InvalidValue

if TYPE_CHECKING:
    from edge_wire.v1 import selector_pb2

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_LIST_LIMIT = 16 * 1024 * 1024

Expressions = Annotated[
    list[str] | None,
    typer.Argument(
        help="Nodes: name, name.cluster, part of an id, edge[01-40], @command:ID=failed; joined by , & ! ^ (or, and,"
        " not, xor)."
    ),
]
Clusters = Annotated[list[str] | None, typer.Option("--cluster", help="Every node of this cluster; may be repeated.")]
All = Annotated[bool, typer.Option("--all", help="Every node.")]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", "-l", help="Only nodes with these labels: site=oslo,role!=db, site, !site."),
]
Exclude = Annotated[
    list[str] | None, typer.Option("--exclude", "-x", help="Not these nodes; written as nodes are; may be repeated.")
]
Pick = Annotated[int | None, typer.Option("--pick", min=1, help="So many of them at random.")]
Online = Annotated[bool, typer.Option("--online", help="Only nodes that are online.")]
From = Annotated[str, typer.Option("--from", help="More nodes from a file, one expression per line; - is stdin.")]


@dataclass(frozen=True, kw_only=True)
class SelectorWords:
    """What was typed to pick nodes."""

    nodes: Sequence[str] = ()
    clusters: Sequence[str] = ()
    is_all: bool = False
    labels: Sequence[str] = ()
    exclude: Sequence[str] = ()
    is_online: bool = False
    pick: int = 0
    listed: Sequence[str] = ()
    """What a file gave."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was typed that gives nodes."""
        return not (self.nodes or self.clusters or self.is_all or self.labels or self.listed)

    @property
    def is_narrowed(self) -> bool:
        """Whether something was typed that leaves nodes out."""
        return bool(self.exclude or self.is_online or self.pick)

    @property
    def is_one_plain_name(self) -> bool:
        """Whether exactly one node was named outright: decided by the words, never by how many nodes they match."""
        others = (self.clusters, self.is_all, self.labels, self.listed, self.is_narrowed)
        return len(self.nodes) == 1 and not any(others) and _PLAIN_NAME.fullmatch(self.nodes[0]) is not None

    @property
    def may_be_many(self) -> bool:
        """Whether the words alone do not tell how many nodes are meant."""
        is_counted = self.nodes and not (self.clusters or self.is_all or self.listed)
        return not (is_counted and all(_PLAIN_NAME.fullmatch(word) for word in self.nodes))

    def to_message(self) -> selector_pb2.Selector:
        """For the wire."""
        from edge_wire.v1 import selector_pb2

        return selector_pb2.Selector(
            nodes=[*self.nodes, *self.listed],
            clusters=self.clusters,
            all=self.is_all,
            labels=self.labels,
            exclude=self.exclude,
            online=self.is_online,
            pick=self.pick,
        )


def read_list(source: str) -> list[str]:
    """The expressions of a file or of stdin (`-`): one per line, blank lines and # comments left out.

    Raises InvalidValue.
    """
    if not source:
        return []
    try:
        data = sys.stdin.buffer.read(_LIST_LIMIT + 1) if source == "-" else _read_file(Path(source))
        text = data.decode()
    except OSError as error:
        raise InvalidValue(f"--from {source}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidValue(f"--from {source}: this is not text") from None
    if len(data) > _LIST_LIMIT:
        raise InvalidValue(f"--from {source}: more than {_LIST_LIMIT} bytes")
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    return [line for line in lines if line]


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LIST_LIMIT + 1)
