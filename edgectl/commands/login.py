"""`edgectl login`."""

from __future__ import annotations

import asyncio
import getpass
import sys
from enum import StrEnum
from typing import Annotated

import typer

from edge_wire import credentials
from edge_wire.names import check_alias
from edge_wire.v1 import principal_pb2 as pb
from edgectl import shapes
from edgectl.app import new_app
from edgectl.connect import connected_to
from edgectl.contexts import Context, config_dir, save_context
from edgectl.options import invocation_of
from edgectl.output import emit_object
from edgectl.secret_store import store_token

app = new_app("Log in with a login string.")


class Store(StrEnum):
    """Where the credential is kept."""

    SYSTEM = "system"
    FILE = "file"


@app.command(epilog="Example: edgectl login --name oslo < login-string")
def login(
    ctx: typer.Context,
    name: Annotated[str, typer.Option(help="What to call the context.")] = "default",
    keyring: Annotated[
        Store, typer.Option(help="Where to keep the credential: the system's keyring, or a file of mode 0600.")
    ] = Store.SYSTEM,
) -> None:
    """Log in with a login string, read from a prompt or standard input, never from the command line."""
    invocation = invocation_of(ctx)
    check_alias(name, "a context name")
    text = getpass.getpass("Login string: ") if sys.stdin.isatty() else sys.stdin.read(credentials.SECRET_LIMIT * 2)
    secret = credentials.decode_login(text)
    context = Context(
        name=name,
        admin_urls=list(secret.admin_urls),
        ca_certificate=secret.ca_certificate,
        store="file" if keyring is Store.FILE else "keyring",
        credential_file=str(config_dir() / "credentials" / name) if keyring is Store.FILE else "",
    )
    who = asyncio.run(_check(context, secret.token))
    store_token(context, secret.token)
    save_context(context, make_current=True)
    row = {**shapes.principal(who), "schema": "edgectl.login/v1", "context": name, "admin_urls": context.admin_urls}
    emit_object(invocation, row, text=f"logged in to {context.admin_urls[0]} as {who.name}, context {name}")


async def _check(context: Context, token: str) -> pb.Principal:
    """Ask the admin before anything is kept: a wrong credential must not replace a good one."""
    async with connected_to(context, token) as admin:
        return await admin.call(admin.tokens.WhoAmI, pb.WhoAmIRequest())
