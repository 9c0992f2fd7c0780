"""`edgectl logout`."""

from __future__ import annotations

import typer

from edgectl.app import new_app
from edgectl.contexts import find_context, remove_context
from edgectl.options import invocation_of
from edgectl.output import note
from edgectl.secret_store import forget_token

app = new_app("Forget a context and its credential.")


@app.command(epilog="Example: edgectl logout --context oslo")
def logout(ctx: typer.Context) -> None:
    """Forget the current context (or the one given by --context) and its credential."""
    context = find_context(invocation_of(ctx).context)
    forget_token(context)
    remove_context(context.name)
    note(f"logged out of {context.name}; the token itself works until it is revoked: edgectl token delete")
