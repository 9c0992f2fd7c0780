"""`edgectl cp`."""

from __future__ import annotations

from typing import Annotated

import typer

from edgectl.app import new_app
from edgectl.copying.fleet import DEFAULT_FANOUT
from edgectl.copying.foreground import CopyPlan, copy_in_foreground
from edgectl.copying.nodes import admin_in_thread, find_nodes
from edgectl.copying.places import parse_route
from edgectl.copying.tree_copy import Options
from edgectl.options import invocation_of
from edgectl.selectors import All, Clusters, Exclude, Labels, Online, SelectorWords
from edgectl.ssh.transports import Transports

app = new_app("Copy files and directories to nodes and from nodes.")

EXAMPLES = """Examples:

edgectl cp ./app.conf edge01:/etc/app/app.conf

edgectl cp -r root@edge01:/var/log/nginx ./logs

edgectl cp -r ./site 'edge[01-40]:/srv/www' --fanout 20

edgectl cp ./motd :/etc/motd -l site=oslo

edgectl cp edge01:/var/lib/db/dump.sql . --resume"""


@app.command(epilog=EXAMPLES)
def cp(
    ctx: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(metavar="SRC... DST", help="One side is on nodes: [USER@]NODE:PATH or SELECTOR:PATH."),
    ],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Directories with all that is in them.")] = False,
    preserve: Annotated[bool, typer.Option("--preserve", "-p", help="Keep modes and times.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue what an interrupted copy left.")] = False,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Compare checksums before a file gets its name.")
    ] = True,
    fanout: Annotated[
        int, typer.Option("--fanout", "-f", min=1, max=256, help="How many nodes at once.")
    ] = DEFAULT_FANOUT,
    cluster: Clusters = None,
    is_all: All = False,
    label: Labels = None,
    exclude: Exclude = None,
    online: Online = False,
    progress: Annotated[bool, typer.Option("--progress/--no-progress", help="Show how far it is.")] = True,
) -> int:
    """Copy files and directories to nodes and from nodes, over SSH through the admin; what arrives is checked."""
    invocation = invocation_of(ctx)
    route = parse_route(paths)
    words = SelectorWords(
        nodes=[route.far.nodes] if route.far.nodes else [],
        clusters=cluster or [],
        is_all=is_all,
        labels=label or [],
        exclude=exclude or [],
        is_online=online,
    )
    with admin_in_thread(invocation) as reached:
        nodes, is_one = reached.run(find_nodes(reached.admin, route.far, words))
        plan = CopyPlan(
            route=route,
            nodes=nodes,
            options=Options(recursive=recursive, preserve=preserve, resume=resume, is_checked=check),
            is_apart=not route.is_push and not is_one,
            fanout=fanout,
            has_progress=progress,
        )
        return copy_in_foreground(invocation, plan, Transports(reached.admin, reached.loop))
