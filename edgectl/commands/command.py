"""`edgectl command`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from edge_wire.names import printable
from edge_wire.v1 import command_pb2 as pb
from edgectl import shapes
from edgectl.app import new_app
from edgectl.asking import confirm
from edgectl.connect import ask
from edgectl.options import CommandId, Yes, invocation_of
from edgectl.output import Column, column, emit_list, emit_object, note, text_of, time_column
from edgectl.records import again, watching

app = new_app("Commands as records: list, logs, wait, retry, diff and more.")


@app.command("list", epilog="Example: edgectl command list --limit 10")
def list_commands(
    ctx: typer.Context, limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50
) -> None:
    """List commands, newest first."""
    invocation = invocation_of(ctx)
    request = pb.ListCommandsRequest(page_size=limit)
    found = ask(invocation, lambda admin: admin.call(admin.commands.List, request))
    columns = [
        Column(title="ID", show=lambda row: row["id"] if invocation.output == "wide" else row["id"][:8]),
        time_column("WHEN", "created_at"),
        Column(title="WHO", show=lambda row: text_of(row["principal"]["name"])),
        Column(title="OUTCOMES", show=lambda row: _outcomes(row["counts"])),
        Column(title="COMMAND", show=_program),
    ]
    emit_list(invocation, [shapes.command(item) for item in found.commands], columns, empty="no commands yet")


@app.command(epilog="Example: edgectl command show 9f3c -o json")
def show(ctx: typer.Context, id: CommandId) -> None:  # noqa: A002  # its name on the command line
    """Show one command with its executions."""
    invocation = invocation_of(ctx)
    found = ask(invocation, lambda admin: admin.call(admin.commands.Get, pb.GetCommandRequest(command_id=id)))
    row = {**shapes.command(found.command), "executions": [shapes.execution(item) for item in found.executions]}
    if invocation.is_machine:
        emit_object(invocation, row)
        return
    note(f"{_program(row)}   {_outcomes(row['counts'])}   command {row['id']}")
    columns = [
        Column(title="NODE", show=lambda item: text_of(item["node"]["name"])),
        Column(title="OUTCOME", show=lambda item: text_of(item.get("outcome") or item["state"])),
        Column(title="EXIT", show=lambda item: text_of(item.get("signal") or item.get("exit_code"))),
        column("MS", "duration_ms"),
        time_column("ENDED", "ended_at"),
        column("ID", "id", is_wide=True),
    ]
    emit_list(invocation, row["executions"], columns, empty="no executions")


@app.command(epilog="Example: edgectl command cancel 9f3c")
def cancel(ctx: typer.Context, id: CommandId) -> None:  # noqa: A002  # as above
    """End what runs and start nothing more."""
    invocation = invocation_of(ctx)
    request = pb.CancelCommandRequest(command_id=id)
    answer = ask(invocation, lambda admin: admin.call(admin.commands.Cancel, request))
    row = {
        "schema": "edgectl.cancel/v1",
        "not_started": answer.not_started_count,
        "cancelling": answer.cancelling_count,
    }
    text = f"{answer.cancelling_count} told to end, {answer.not_started_count} never start"
    emit_object(invocation, row, text=text)


@app.command(epilog="Example: edgectl command delete 9f3c --yes")
def delete(ctx: typer.Context, id: CommandId, yes: Yes = False) -> None:  # noqa: A002  # as above
    """Delete a command that is over, with everything that is kept of it."""
    invocation = invocation_of(ctx)
    confirm(invocation, f"delete command {id}", is_yes=yes)
    ask(invocation, lambda admin: admin.call(admin.commands.Delete, pb.DeleteCommandRequest(command_id=id)))
    note(f"deleted command {id}")


app.command(epilog="Examples: edgectl command logs 9f3c · edgectl command logs 9f3c edge07 --view grouped")(
    watching.logs
)
app.command(epilog="Example: edgectl command wait 9f3c --timeout 10m")(watching.wait)
app.command(epilog="Example: edgectl command attach 9f3c --view grouped")(watching.attach)
app.command(epilog="Examples: edgectl command retry 9f3c · edgectl command retry 9f3c --only failed,offline")(
    again.retry
)
app.command(epilog="Example: edgectl command diff 9f3c 41aa --brief")(again.diff)


def _outcomes(counts: Mapping[str, int]) -> str:
    ended = {name: count for name, count in counts.items() if name != "total" and count}
    open_count = counts["total"] - sum(ended.values())
    parts = [f"{count} {name}" for name, count in ended.items()]
    return " · ".join([*parts, f"{open_count} open"] if open_count else parts) or "none"


def _program(row: Mapping[str, Any]) -> str:
    if row["script"] is not None:
        return printable(f"--script {shlex.join([row['script']['name'], *row['script']['arguments']])}", 80)
    return printable(row["shell"] if row["shell"] is not None else shlex.join(row["argv"] or []), 80)
