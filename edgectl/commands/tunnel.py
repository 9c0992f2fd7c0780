"""`edgectl tunnel`."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_wire.errors import UsageError
from edge_wire.listener import parse_listen
from edge_wire.targets import parse_destination
from edgectl.app import new_app
from edgectl.options import invocation_of
from edgectl.tunnelling.foreground import carry_standard_streams, listen_and_carry

app = new_app("Reach a port of a node or of its network from here.")

EXAMPLES = """Examples:

edgectl tunnel edge01 5432 --listen 127.0.0.1:15432

edgectl tunnel gw-oslo printer.oslo.lan:631

ssh -o ProxyCommand='edgectl tunnel --stdio edge01 22' me@edge01"""


@app.command(epilog=EXAMPLES)
def tunnel(
    ctx: typer.Context,
    node: Annotated[str, typer.Argument(help="The node that dials.")],
    target: Annotated[
        str, typer.Argument(metavar="PORT|HOST:PORT", help="A port of the node itself, or a place that it reaches.")
    ],
    listen: Annotated[
        str | None,
        typer.Option(metavar="[ADDR:]PORT", help="Where to listen here. Default: a free port of 127.0.0.1, printed."),
    ] = None,
    stdio: Annotated[
        bool, typer.Option("--stdio", help="One connection over standard input and output, for ProxyCommand.")
    ] = False,
) -> int:
    """Reach a port of a node or of its network from here. Ctrl-C ends it."""
    invocation = invocation_of(ctx)
    destination = parse_destination(target)
    if stdio:
        if listen is not None:
            raise UsageError("--stdio listens nowhere", hint="leave out --listen")
        return carry_standard_streams(invocation, node, destination)
    return listen_and_carry(invocation, node, destination, parse_listen(listen or "127.0.0.1:0"))
