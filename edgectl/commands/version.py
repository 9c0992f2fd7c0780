"""`edgectl version`. Imports no gRPC unless the admin is asked."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edge_wire.release import PROGRAM
from edgectl.app import new_app
from edgectl.options import invocation_of
from edgectl.output import emit_object

app = new_app("Print the version.")


@app.command(epilog="Example: edgectl version --server")
def version(
    ctx: typer.Context,
    server: Annotated[bool, typer.Option("--server", help="Ask the admin for its version too.")] = False,
) -> None:
    """Print the version of edgectl, and of the admin when asked."""
    invocation = invocation_of(ctx)
    row: dict[str, Any] = {"schema": "edgectl.version/v1", "edgectl": PROGRAM}
    if server:
        from edge_wire.v1 import admin_pb2
        from edgectl.connect import ask

        status = ask(invocation, lambda admin: admin.call(admin.admins.GetStatus, admin_pb2.GetStatusRequest()))
        row["admin"] = status.version
    lines = [f"{name} {row[name]}" for name in ("edgectl", "admin") if name in row]
    emit_object(invocation, row, text="\n".join(lines))
