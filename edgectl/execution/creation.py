"""Making a command without waiting for it: show its nodes, ask about large ones, or leave it to itself."""

from __future__ import annotations

import sys
from typing import Any

from edge_wire.errors import Declined
from edge_wire.v1 import command_pb2 as pb
from edgectl import shapes
from edgectl.asking import agrees
from edgectl.connect import Admin, ask
from edgectl.invocation import Invocation
from edgectl.output import Column, emit_list, emit_object, note, relative, text_of

ASK_ABOVE = 20
"""More targets than this are asked about on a terminal."""


def show_targets(invocation: Invocation, request: pb.CreateCommandRequest) -> int:
    """Print the nodes and run nothing."""
    rows = [_target(item) for item in _resolve(invocation, request).targets]
    columns = [
        Column(title="NODE", show=lambda row: text_of(row["node"]["name"])),
        Column(title="CLUSTER", show=lambda row: text_of(row["cluster"])),
        Column(title="ID", show=lambda row: text_of(row["node"]["id"]), is_wide=True),
    ]
    emit_list(invocation, rows, columns, empty="no nodes")
    return 0


def detach(invocation: Invocation, request: pb.CreateCommandRequest) -> int:
    """Make it and print its id."""
    request.spec.exact_output = False  # nobody waits for its bytes

    async def create(admin: Admin) -> pb.CreateCommandResponse:
        made = await admin.call(admin.commands.Create, request)
        if made.repeated_request and not invocation.is_machine:
            note(await repeated_line(admin, made.command_id))
        return made

    made = ask(invocation, create)
    row = {
        "schema": "edgectl.exec.accepted/v1",
        "command": made.command_id,
        "repeated": made.repeated_request,
        "targets": [_target(item) for item in made.targets],
    }
    emit_object(invocation, row, text=made.command_id)
    return 0


async def repeated_line(admin: Admin, command_id: str) -> str:
    """What to say when a request id was used before: an older command is shown. Raises EdgeError."""
    command = (await admin.call(admin.commands.Get, pb.GetCommandRequest(command_id=command_id))).command
    return f"repeated: this is command {command.id} from {relative(shapes.time_of(command, 'created_at'))}"


def ask_when_large(invocation: Invocation, request: pb.CreateCommandRequest, *, is_yes: bool) -> None:
    """More than 20 targets from a terminal are asked about. Raises Declined when the answer is no."""
    if is_yes or invocation.is_machine or not sys.stdin.isatty():
        return
    count = len(_resolve(invocation, request).targets)
    if count > ASK_ABOVE and not agrees(f"run on {count} nodes"):
        raise Declined("nothing was run")


def _resolve(invocation: Invocation, request: pb.CreateCommandRequest) -> pb.CreateCommandResponse:
    asked = pb.CreateCommandRequest()
    asked.CopyFrom(request)
    asked.dry_run = True
    asked.spec.exact_output = False
    return ask(invocation, lambda admin: admin.call(admin.commands.Create, asked))


def _target(target: pb.Target) -> dict[str, Any]:
    return {
        "schema": "edgectl.exec.target/v1",
        "node": {"id": target.node_id, "name": target.node_name},
        "cluster": target.cluster,
    }
