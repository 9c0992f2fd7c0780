"""`python -m edgectl.completion.refresh CONTEXT`: asks the admin what there is, and writes the cache of completion.

Runs beside a TAB, says nothing, and ends by itself. What the credential may not see is left out.
"""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

from edge_wire.errors import Denied, EdgeError
from edge_wire.names import printable
from edge_wire.v1 import cluster_pb2, command_pb2, node_pb2
from edgectl.completion import cache
from edgectl.completion.cache import Known
from edgectl.completion.installation import fingerprint
from edgectl.connect import Admin, connected
from edgectl.contexts import find_context
from edgectl.invocation import Invocation

WITHIN = timedelta(seconds=10)
NODE_LIMIT = 20_000
VALUE_LIMIT = 200
"""Values of one label: one that has more, such as a serial number, is nothing to choose from."""
COMMAND_LIMIT = 100

T = TypeVar("T")


def main() -> None:
    """Entry point."""
    context = find_context(sys.argv[1])
    path = cache.path_of(context.name)
    if path is not None:
        known = asyncio.run(asyncio.wait_for(_ask(context.name), WITHIN.total_seconds()))
        cache.save(path, known._replace(installation=fingerprint(context)))


async def _ask(context: str) -> Known:
    async with connected(Invocation(context=context)) as admin:
        nodes = await _allowed(_nodes, admin)
        return Known(
            nodes=names_of(nodes),
            labels=labels_of(node.labels for node in nodes),
            clusters=await _allowed(_clusters, admin),
            commands=await _allowed(_commands, admin),
        )


def names_of(nodes: Iterable[node_pb2.Node]) -> list[tuple[str, str]]:
    """Every alias with its cluster; one that several clusters have is written `alias.cluster`."""
    pairs = sorted((alias, node.cluster) for node in nodes for alias in node.aliases or [node.name])
    count = Counter(alias for alias, _ in pairs)
    return [(alias if count[alias] == 1 else f"{alias}.{cluster}", cluster) for alias, cluster in pairs]


def labels_of(labels: Iterable[Mapping[str, str]]) -> dict[str, list[str]]:
    """The values of every label."""
    found: dict[str, set[str]] = {}
    for item in labels:
        for name, value in item.items():
            found.setdefault(name, set()).add(value)
    return {name: sorted(values)[:VALUE_LIMIT] for name, values in sorted(found.items())}


async def _allowed(ask: Callable[[Admin], Awaitable[Sequence[T]]], admin: Admin) -> Sequence[T]:
    try:
        return await ask(admin)
    except Denied:
        return []


async def _nodes(admin: Admin) -> list[node_pb2.Node]:
    found: list[node_pb2.Node] = []
    token = ""
    while len(found) < NODE_LIMIT:
        page = await admin.call(admin.nodes.List, node_pb2.ListNodesRequest(page_token=token))
        found += page.nodes
        token = page.next_page_token
        if not token:
            break
    return found


async def _clusters(admin: Admin) -> list[str]:
    answer = await admin.call(admin.clusters.List, cluster_pb2.ListClustersRequest())
    return sorted(item.name for item in answer.clusters)


async def _commands(admin: Admin) -> list[tuple[str, str]]:
    request = command_pb2.ListCommandsRequest(page_size=COMMAND_LIMIT)
    answer = await admin.call(admin.commands.List, request)
    return [(item.id, printable(_program(item.spec), 60)) for item in answer.commands]


def _program(spec: command_pb2.CommandSpec) -> str:
    if spec.HasField("script"):
        return spec.script.name
    return spec.shell if spec.HasField("shell") else shlex.join(spec.argv.arguments)


if __name__ == "__main__":
    try:
        main()
    except (EdgeError, TimeoutError):
        sys.exit(1)
