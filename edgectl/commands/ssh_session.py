"""`edgectl ssh-session`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from edge_wire.errors import UsageError
from edge_wire.v1 import ssh_pb2 as pb
from edgectl.app import new_app
from edgectl.connect import ask
from edgectl.options import invocation_of
from edgectl.output import column, emit_list, emit_object, time_column
from edgectl.ssh import shapes
from edgectl.ssh.recordings import export_recording, play_recording

app = new_app("SSH sessions: list, show, play, export.")

_SPEEDS = (0.1, 100.0)

SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="Id of the session, or its beginning.")]


@app.command("list", epilog="Example: edgectl ssh-session list --node edge01 --open")
def list_sessions(
    ctx: typer.Context,
    node: Annotated[str, typer.Option(help="Only of this node.", show_default=False)] = "",
    is_open: Annotated[bool, typer.Option("--open", help="Only those that run.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, the newest.")] = 100,
) -> None:
    """List sessions, newest first."""
    invocation = invocation_of(ctx)
    request = pb.ListSshSessionsRequest(node=node, open=is_open, limit=limit)
    found = ask(invocation, lambda admin: admin.call(admin.ssh.ListSessions, request))
    rows = [_with_table_words(shapes.session(item)) for item in found.sessions]
    columns = [
        column("SESSION", "short_id"),
        column("NODE", "node_name"),
        column("WHO", "who"),
        column("RUNS AS", "local_account"),
        time_column("STARTED", "started_at"),
        column("OUTCOME", "outcome"),
        column("DID", "did"),
        column("FROM", "address", is_wide=True),
        column("ID", "id", is_wide=True),
    ]
    shown = rows if not invocation.is_machine else [shapes.session(item) for item in found.sessions]
    emit_list(invocation, shown, columns, empty="no SSH sessions")


@app.command(epilog="Example: edgectl ssh-session show 3f2a")
def show(ctx: typer.Context, session: SessionId) -> None:
    """Show one session: who, from where, what was run and forwarded."""
    invocation = invocation_of(ctx)
    found = ask(invocation, lambda admin: admin.call(admin.ssh.GetSession, pb.GetSshSessionRequest(session=session)))
    emit_object(invocation, shapes.session(found))


@app.command(epilog="Example: edgectl ssh-session play 3f2a --speed 2")
def play(
    ctx: typer.Context,
    session: SessionId,
    speed: Annotated[float, typer.Option(help="How many times as fast.")] = 1.0,
    idle_limit: Annotated[float, typer.Option(help="Seconds that a pause lasts at most.")] = 2.0,
) -> None:
    """Play the recording of a session's terminal. Ctrl-C ends it."""
    if not _SPEEDS[0] <= speed <= _SPEEDS[1]:
        raise UsageError(f"--speed is from {_SPEEDS[0]:g} to {_SPEEDS[1]:g}")
    play_recording(invocation_of(ctx), session, speed=speed, idle_limit=max(0.0, idle_limit))


@app.command(epilog="Example: edgectl ssh-session export 3f2a --file session.cast")
def export(
    ctx: typer.Context,
    session: SessionId,
    file: Annotated[str, typer.Option(metavar="FILE", help="Where to, - for stdout.")] = "-",
) -> None:
    """Write the recording of a session as asciicast v2, as asciinema plays it."""
    if file == "-" and sys.stdout.isatty():
        raise UsageError("a recording is not for a terminal as it is", hint=f"edgectl ssh-session play {session}")
    export_recording(invocation_of(ctx), session, file)


def _with_table_words(row: dict[str, object]) -> dict[str, object]:
    node, programs, forwardings = row["node"], row["programs"], row["forwardings"]
    assert isinstance(node, dict)
    assert isinstance(programs, list)
    assert isinstance(forwardings, list)
    return {
        **row,
        "short_id": str(row["id"])[:8],
        "node_name": node["name"],
        "who": f"{row['principal'] or 'direct'} as {row['user']}",
        "did": "; ".join([*programs, *forwardings]) or None,
    }
