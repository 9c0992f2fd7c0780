"""`edgectl token`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from edge_wire.names import check_alias
from edge_wire.timestamps import to_duration
from edge_wire.v1 import principal_pb2 as pb
from edgectl import shapes
from edgectl.app import new_app
from edgectl.asking import confirm
from edgectl.connect import ask
from edgectl.durations import parse_duration
from edgectl.options import Yes, invocation_of
from edgectl.output import column, emit_list, emit_object, note, time_column

app = new_app("Tokens: list, show, create, delete.")

Token = Annotated[str, typer.Argument(help="Name or id of the token.")]


class RoleName(StrEnum):
    """What a token may do."""

    ADMIN = "admin"
    OPERATOR = "operator"
    VIEWER = "viewer"
    METRICS = "metrics"
    PROXY = "proxy"
    MCP = "mcp"


@app.command("list", epilog="Example: edgectl token list")
def list_tokens(ctx: typer.Context) -> None:
    """List tokens, newest first. Secrets are never shown again."""
    invocation = invocation_of(ctx)
    found = ask(invocation, lambda admin: admin.call(admin.tokens.List, pb.ListTokensRequest()))
    columns = [
        column("NAME", "name"),
        column("ROLE", "role"),
        column("CLUSTERS", "clusters"),
        time_column("EXPIRES", "expires_at"),
        time_column("CREATED", "created_at"),
        column("ID", "id", is_wide=True),
    ]
    emit_list(invocation, [shapes.principal(item) for item in found.tokens], columns, empty="no tokens")


@app.command(epilog="Example: edgectl token show ci")
def show(ctx: typer.Context, token: Token) -> None:
    """Show one token without its secret."""
    invocation = invocation_of(ctx)
    found = ask(invocation, lambda admin: admin.call(admin.tokens.Get, pb.GetTokenRequest(token=token)))
    emit_object(invocation, shapes.principal(found))


@app.command(epilog="Example: edgectl token create ci --role operator --cluster oslo --expires 30d")
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call it; unique.")],
    role: Annotated[RoleName, typer.Option(help="What it may do.")],
    cluster: Annotated[list[str] | None, typer.Option(help="Confine it to this cluster; may be repeated.")] = None,
    expires: Annotated[str | None, typer.Option(help="How long it works, such as 30d. Default: for ever.")] = None,
) -> None:
    """Make a token; its login string is printed once."""
    invocation = invocation_of(ctx)
    check_alias(name, "a token name")
    request = pb.CreateTokenRequest(
        name=name,
        role=pb.Role.Value(f"ROLE_{role.name}"),
        clusters=cluster or [],
        expires_in=to_duration(parse_duration(expires)) if expires else None,
    )
    made = ask(invocation, lambda admin: admin.call(admin.tokens.Create, request))
    if not invocation.is_machine:
        note("# the login string, shown once; give it to: edgectl login")
    row = {**shapes.principal(made.principal), "token": made.token, "login": made.login}
    emit_object(invocation, row, text=made.login)


@app.command(epilog="Example: edgectl token delete ci --yes")
def delete(ctx: typer.Context, token: Token, yes: Yes = False) -> None:
    """Revoke a token at once."""
    invocation = invocation_of(ctx)
    confirm(invocation, f"revoke token {token}", is_yes=yes)
    ask(invocation, lambda admin: admin.call(admin.tokens.Delete, pb.DeleteTokenRequest(token=token)))
    note(f"revoked token {token}")
