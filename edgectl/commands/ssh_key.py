"""`edgectl ssh-key`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_wire.errors import UsageError
from edge_wire.timestamps import to_duration
from edge_wire.v1 import ssh_pb2 as pb
from edgectl.app import new_app
from edgectl.asking import confirm
from edgectl.connect import ask
from edgectl.durations import parse_duration
from edgectl.options import Yes, invocation_of
from edgectl.output import column, emit_list, emit_object, note, time_column
from edgectl.ssh import shapes

app = new_app("Public keys of accounts for SSH: list, create, delete.")

_LARGEST = 64 * 1024

User = Annotated[str, typer.Argument(help="Name of the account.")]


@app.command("list", epilog="Example: edgectl ssh-key list alice")
def list_keys(
    ctx: typer.Context,
    user: Annotated[str, typer.Argument(help="Name of the account. Default: of all.", show_default=False)] = "",
) -> None:
    """List keys."""
    invocation = invocation_of(ctx)
    found = ask(invocation, lambda admin: admin.call(admin.ssh_keys.List, pb.ListSshKeysRequest(user=user)))
    columns = [
        column("USER", "user"),
        column("NAME", "name"),
        column("FINGERPRINT", "fingerprint"),
        column("FROM", "from"),
        time_column("EXPIRES", "expires_at"),
        time_column("CREATED", "created_at", is_wide=True),
    ]
    emit_list(invocation, [shapes.key(item) for item in found.keys], columns, empty="no keys")


@app.command(epilog="Example: edgectl ssh-key create alice --file ~/.ssh/id_ed25519.pub --from 10.0.0.0/8")
def create(
    ctx: typer.Context,
    user: User,
    file: Annotated[str, typer.Option(metavar="FILE", help="File with the public key, - for stdin.")],
    name: Annotated[str, typer.Option(help="What to call it. Default: the comment of the key.")] = "",
    source: Annotated[
        list[str] | None, typer.Option("--from", metavar="ADDRESS", help="Address or network it may come from.")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="How long it works, such as 90d. Default: for ever.")] = None,
) -> None:
    """Add a public key to an account."""
    invocation = invocation_of(ctx)
    request = pb.CreateSshKeyRequest(
        user=user,
        name=name,
        public_key=_read(file),
        sources=source or [],
        expires_in=to_duration(parse_duration(expires)) if expires else None,
    )
    made = ask(invocation, lambda admin: admin.call(admin.ssh_keys.Create, request))
    emit_object(invocation, shapes.key(made))


@app.command(epilog="Example: edgectl ssh-key delete alice laptop --yes")
def delete(
    ctx: typer.Context,
    user: User,
    key: Annotated[str, typer.Argument(help="Name or fingerprint of the key.")],
    yes: Yes = False,
) -> None:
    """Delete a key; sessions that logged in with it end."""
    invocation = invocation_of(ctx)
    confirm(invocation, f"delete key {key} of {user}", is_yes=yes)
    ask(invocation, lambda admin: admin.call(admin.ssh_keys.Delete, pb.DeleteSshKeyRequest(user=user, key=key)))
    note(f"deleted key {key} of {user}")


def _read(name: str) -> str:
    try:
        text = sys.stdin.read(_LARGEST) if name == "-" else Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--file {name}: {error}") from None
    return text.strip()
