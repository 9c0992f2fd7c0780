"""`edgectl config`."""

from __future__ import annotations

import typer

from edgectl.app import new_app
from edgectl.contexts import config_file
from edgectl.options import invocation_of
from edgectl.output import emit_object

app = new_app("Where edgectl keeps its configuration.")


@app.callback()
def _group() -> None:
    """Where edgectl keeps its configuration."""


@app.command(epilog="Example: edgectl config path")
def path(ctx: typer.Context) -> None:
    """Print the file that holds all contexts."""
    row = {"schema": "edgectl.config/v1", "path": str(config_file())}
    emit_object(invocation_of(ctx), row, text=str(config_file()))
