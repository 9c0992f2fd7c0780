"""`edgectl context`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edgectl.app import new_app
from edgectl.asking import confirm
from edgectl.contexts import Context, Contexts, load_contexts, remove_context, require_context, use_context
from edgectl.options import Yes, invocation_of
from edgectl.output import column, emit_list, emit_object, note
from edgectl.secret_store import forget_token

app = new_app("Contexts: list, use, show, delete.")

Name = Annotated[str, typer.Argument(help="Name of the context.")]


@app.command("list", epilog="Example: edgectl context list")
def list_contexts(ctx: typer.Context) -> None:
    """List contexts."""
    contexts = load_contexts()
    rows = [_row(item, contexts) for item in contexts.by_name.values()]
    columns = [column("CURRENT", "current"), column("NAME", "name"), column("ADMINS", "admin_urls")]
    emit_list(invocation_of(ctx), rows, columns, empty="no contexts; edgectl login makes one")


@app.command(epilog="Example: edgectl context use oslo")
def use(ctx: typer.Context, name: Name) -> None:
    """Make a context the current one."""
    use_context(name)
    note(f"the current context is {name}")


@app.command(epilog="Example: edgectl context show oslo")
def show(ctx: typer.Context, name: Name) -> None:
    """Show one context."""
    contexts = load_contexts()
    emit_object(invocation_of(ctx), _row(require_context(contexts, name), contexts))


@app.command(epilog="Example: edgectl context delete oslo --yes")
def delete(ctx: typer.Context, name: Name, yes: Yes = False) -> None:
    """Forget a context and its credential."""
    context = require_context(load_contexts(), name)
    confirm(invocation_of(ctx), f"delete context {name}", is_yes=yes)
    forget_token(context)
    remove_context(name)
    note(f"deleted context {name}")


def _row(context: Context, contexts: Contexts) -> dict[str, Any]:
    return {
        "schema": "edgectl.context/v1",
        "name": context.name,
        "current": context.name == contexts.current,
        "admin_urls": list(context.admin_urls),
        "credential": context.credential_file or "system keyring",
    }
