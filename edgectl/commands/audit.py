"""`edgectl audit`."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_wire.v1 import audit_pb2 as pb
from edgectl import shapes
from edgectl.app import new_app
from edgectl.connect import Admin, ask
from edgectl.options import invocation_of
from edgectl.output import Column, column, emit_list, text_of, time_column

app = new_app("The audit log: who changed what.")


@app.callback()
def _group() -> None:
    """The audit log: who changed what."""


@app.command("list", epilog="Example: edgectl audit list --action command.create --limit 20")
def list_entries(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many rows at most.")] = 100,
    action: Annotated[str, typer.Option(help="Only this action, such as node.delete.")] = "",
) -> None:
    """List what operators changed, newest first."""
    invocation = invocation_of(ctx)
    rows = [shapes.audit_entry(item) for item in ask(invocation, lambda admin: _read(admin, limit, action))]
    columns = [
        time_column("WHEN", "time"),
        Column(title="WHO", show=lambda row: text_of(row["principal"]["name"])),
        column("ACTION", "action"),
        Column(title="WHAT", show=lambda row: text_of(row["subject"]["name"] or row["subject"]["id"])),
        column("DETAILS", "details"),
        column("FROM", "peer", is_wide=True),
        column("REQUEST", "request_id", is_wide=True),
    ]
    emit_list(
        invocation,
        rows,
        columns,
        empty=f"nothing of the kind {text_of(action)}" if action else "nothing was changed yet",
    )


async def _read(admin: Admin, limit: int, action: str) -> list[pb.AuditEntry]:
    found: list[pb.AuditEntry] = []
    token = ""
    while len(found) < limit:
        size = min(1000, limit - len(found))
        request = pb.ListAuditRequest(page_size=size, page_token=token, action=action)
        page = await admin.call(admin.audit.List, request)
        found += page.entries
        token = page.next_page_token
        if not token:
            break
    return found
