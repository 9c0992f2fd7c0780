"""`edgectl admin`."""

from __future__ import annotations

import typer

from edge_wire.v1 import admin_pb2 as pb
from edgectl import shapes
from edgectl.app import new_app
from edgectl.connect import ask
from edgectl.options import invocation_of
from edgectl.output import emit_object

app = new_app("The admin itself: status.")


@app.callback()
def _group() -> None:
    """The admin itself: status."""


@app.command(epilog="Example: edgectl admin status")
def status(ctx: typer.Context) -> None:
    """Say how the admin does."""
    invocation = invocation_of(ctx)
    found = ask(invocation, lambda admin: admin.call(admin.admins.GetStatus, pb.GetStatusRequest()))
    emit_object(invocation, shapes.admin_status(found))
