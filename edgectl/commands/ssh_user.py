"""`edgectl ssh-user`."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_wire.timestamps import to_duration
from edge_wire.v1 import selector_pb2
from edge_wire.v1 import ssh_pb2 as pb
from edgectl.app import new_app
from edgectl.asking import confirm, read_secret
from edgectl.connect import ask
from edgectl.durations import parse_duration
from edgectl.options import Yes, invocation_of
from edgectl.output import Column, column, emit_list, emit_object, note, time_column
from edgectl.ssh import shapes

app = new_app("Accounts for SSH: list, show, create, delete.")

Name = Annotated[str, typer.Argument(help="Name of the account: what stands before the @.")]


@app.command("list", epilog="Example: edgectl ssh-user list")
def list_users(ctx: typer.Context) -> None:
    """List accounts for SSH."""
    invocation = invocation_of(ctx)
    found = ask(invocation, lambda admin: admin.call(admin.ssh_users.List, pb.ListSshUsersRequest()))
    columns = [
        column("NAME", "name"),
        Column(title="NODES", show=shapes.selector_text),
        column("RUNS AS", "local_account"),
        column("KEYS", "key_count"),
        column("PASSWORD", "has_password"),
        time_column("EXPIRES", "expires_at"),
        column("CREATED BY", "created_by", is_wide=True),
    ]
    emit_list(invocation, [shapes.user(item) for item in found.users], columns, empty="no accounts for SSH")


@app.command(epilog="Example: edgectl ssh-user show alice")
def show(ctx: typer.Context, name: Name) -> None:
    """Show one account."""
    invocation = invocation_of(ctx)
    found = ask(invocation, lambda admin: admin.call(admin.ssh_users.Get, pb.GetSshUserRequest(name=name)))
    emit_object(invocation, shapes.user(found))


@app.command(epilog="Example: edgectl ssh-user create alice --cluster oslo -l role=web --runs-as deploy --expires 30d")
def create(
    ctx: typer.Context,
    name: Name,
    node: Annotated[list[str] | None, typer.Option(metavar="SELECTOR", help="Nodes it is good on, by name.")] = None,
    cluster: Annotated[list[str] | None, typer.Option(help="Every node of this cluster; may be repeated.")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", "-l", help="Only nodes with these labels.")] = None,
    exclude: Annotated[list[str] | None, typer.Option("--exclude", "-x", help="But not these nodes.")] = None,
    runs_as: Annotated[str, typer.Option(help="Local account on the nodes. Default: the same name.")] = "",
    password: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="File with a password; - asks, or reads stdin. Default: none."),
    ] = None,
    expires: Annotated[str | None, typer.Option(help="How long it works, such as 30d. Default: for ever.")] = None,
) -> None:
    """Make an account that is good on many nodes. Without a choice of nodes: on all."""
    invocation = invocation_of(ctx)
    request = pb.CreateSshUserRequest(
        name=name,
        nodes=selector_pb2.Selector(
            nodes=node or [], clusters=cluster or [], labels=label or [], exclude=exclude or []
        ),
        local_account=runs_as,
        password=read_secret(password, f"password of {name}") if password is not None else "",
        expires_in=to_duration(parse_duration(expires)) if expires else None,
    )
    made = ask(invocation, lambda admin: admin.call(admin.ssh_users.Create, request))
    emit_object(invocation, shapes.user(made))
    if not made.has_password:
        note(f"it has no key yet: edgectl ssh-key create {name} --file ~/.ssh/id_ed25519.pub")


@app.command(epilog="Example: edgectl ssh-user delete alice --yes")
def delete(ctx: typer.Context, name: Name, yes: Yes = False) -> None:
    """Delete an account with its keys; its sessions end."""
    invocation = invocation_of(ctx)
    confirm(invocation, f"delete the account for SSH {name}", is_yes=yes)
    ask(invocation, lambda admin: admin.call(admin.ssh_users.Delete, pb.DeleteSshUserRequest(name=name)))
    note(f"deleted the account for SSH {name}")
