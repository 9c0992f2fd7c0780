"""`edgectl enroll-key`."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration

from edge_wire.timestamps import to_duration
from edge_wire.v1 import enrollment_pb2 as pb
from edgectl import shapes
from edgectl.app import new_app
from edgectl.asking import confirm
from edgectl.connect import ask
from edgectl.durations import parse_duration
from edgectl.options import Yes, invocation_of, read_labels
from edgectl.output import column, emit_list, emit_object, note, time_column

app = new_app("Enrollment keys: what lets new machines join.")

Id = Annotated[str, typer.Argument(help="Id of the key, or its first characters.")]
Uses = Annotated[int | None, typer.Option("--uses", min=0, help="How many machines may join with it; 0: any number.")]
Expires = Annotated[str | None, typer.Option("--expires", help="How long it works, such as 2h or 7d; 0: for ever.")]

INSTALL_DIR = "/opt/edge-agent"


@app.command("list", epilog="Example: edgectl enroll-key list --cluster oslo")
def list_keys(ctx: typer.Context, cluster: Annotated[str, typer.Option(help="Only this cluster's.")] = "") -> None:
    """List enrollment keys, newest first. Secrets are never shown again."""
    invocation = invocation_of(ctx)

    request = pb.ListEnrollmentKeysRequest(cluster=cluster)
    found = ask(invocation, lambda admin: admin.call(admin.enrollment_keys.List, request))
    columns = [
        column("ID", "id"),
        column("CLUSTER", "cluster"),
        column("USES LEFT", "uses_left"),
        time_column("EXPIRES", "expires_at"),
        time_column("LAST USED", "last_used_at"),
        column("LABELS", "labels", is_wide=True),
    ]
    rows = [shapes.enrollment_key(item) for item in found.enrollment_keys]
    emit_list(invocation, rows, columns, empty="no enrollment keys; make one: edgectl enroll-key create")


@app.command(epilog="Example: edgectl enroll-key show 9f3c")
def show(ctx: typer.Context, id: Id) -> None:  # noqa: A002  # its name on the command line
    """Show one enrollment key without its secret."""
    invocation = invocation_of(ctx)

    found = ask(invocation, lambda admin: admin.call(admin.enrollment_keys.Get, pb.GetEnrollmentKeyRequest(id=id)))
    emit_object(invocation, shapes.enrollment_key(found))


@app.command(epilog="Example: edgectl enroll-key create --cluster oslo --uses 10 --expires 2h --label site=oslo")
def create(
    ctx: typer.Context,
    cluster: Annotated[str, typer.Option(help="Cluster that it admits to.")] = "default",
    uses: Annotated[
        int | None, typer.Option("--uses", min=0, help="How many machines may join with it; 0: any number. Default: 1.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", help="How long it works, such as 2h or 7d; 0: for ever. Default: 1d.")
    ] = None,
    label: Annotated[list[str] | None, typer.Option(help="Label name=value for every machine that joins.")] = None,
) -> None:
    """Make an enrollment key and print the two lines to paste on the new machine."""
    invocation = invocation_of(ctx)
    request = pb.CreateEnrollmentKeyRequest(
        cluster=cluster, uses=uses, expires_in=_span(expires), labels=read_labels(label or [])
    )

    made = ask(invocation, lambda admin: admin.call(admin.enrollment_keys.Create, request))
    lines = paste_lines(made.install_source, made.secret)
    row = {
        **shapes.enrollment_key(made.enrollment_key),
        "secret": made.secret,
        "install_source": made.install_source,
        "paste": lines,
    }
    if not invocation.is_machine:
        note(f"# on the new machine, as root (works {_uses_text(made.enrollment_key)}):")
    emit_object(invocation, row, text="\n".join(lines))


@app.command("set", epilog="Example: edgectl enroll-key set 9f3c --expires 1h")
def set_key(ctx: typer.Context, id: Id, uses: Uses = None, expires: Expires = None) -> None:  # noqa: A002  # as above
    """Change remaining uses or expiry."""
    invocation = invocation_of(ctx)
    request = pb.UpdateEnrollmentKeyRequest(id=id, uses=uses, expires_in=_span(expires))

    changed = ask(invocation, lambda admin: admin.call(admin.enrollment_keys.Update, request))
    emit_object(invocation, shapes.enrollment_key(changed))


@app.command(epilog="Example: edgectl enroll-key delete 9f3c --yes")
def delete(ctx: typer.Context, id: Id, yes: Yes = False) -> None:  # noqa: A002  # as above
    """Delete an enrollment key; the nodes that joined with it stay."""
    invocation = invocation_of(ctx)
    confirm(invocation, f"delete enrollment key {id}", is_yes=yes)

    ask(invocation, lambda admin: admin.call(admin.enrollment_keys.Delete, pb.DeleteEnrollmentKeyRequest(id=id)))
    note(f"deleted enrollment key {id}")


def paste_lines(install_source: str, secret: str) -> list[str]:
    """The two lines for the new machine: install, then enroll and start. The key comes by here-document, not argv."""
    install = f"python3 -m venv {INSTALL_DIR} && {INSTALL_DIR}/bin/pip install --quiet {shlex.quote(install_source)}"
    return [install, f"{INSTALL_DIR}/bin/edge-agent install --key-file - <<'KEY'\n{secret}\nKEY"]


def _span(text: str | None) -> Duration | None:
    return to_duration(parse_duration(text)) if text is not None else None


def _uses_text(key: pb.EnrollmentKey) -> str:
    times = f"for {key.uses_left} machines" if key.HasField("uses_left") else "for any number of machines"
    if key.HasField("uses_left") and key.uses_left == 1:
        times = "once"
    return f"{times}, until {shapes.time_of(key, 'expires_at') or 'it is deleted'}"
