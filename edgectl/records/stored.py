"""What is stored of a command, as others need it: its id in full, its executions, and what is kept of their output."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_wire import calls
from edge_wire.errors import StreamBroken
from edge_wire.v1 import command_pb2 as pb
from edgectl.connect import Admin
from edgectl.execution.tally import Tally


@dataclass
class Kept:
    """The stdout and stderr of one execution as far as they are kept."""

    stdout: bytes = b""
    stderr: bytes = b""
    has_gap: bool = False


@dataclass(frozen=True, kw_only=True)
class StoredCommand:
    """One command with its executions and their output."""

    command: pb.Command
    executions: Mapping[str, pb.Execution]
    """By node id."""
    outputs: Mapping[str, Kept] = field(default_factory=dict)
    """By node id."""


async def load_command(admin: Admin, reference: str) -> StoredCommand:
    """A command without output. Raises CommandNotFound."""
    found = await admin.call(admin.commands.Get, pb.GetCommandRequest(command_id=reference))
    return StoredCommand(command=found.command, executions={item.node_id: item for item in found.executions})


async def load_with_output(admin: Admin, reference: str) -> StoredCommand:
    """A command with what is known of its output now. Raises CommandNotFound."""
    stored = await load_command(admin, reference)
    outputs: dict[str, Kept] = defaultdict(Kept)
    tally = Tally()
    request = pb.WatchCommandRequest(command_id=stored.command.id, no_follow=True)
    async for response in calls.stream(admin.commands.Watch, request, token=admin.token):
        for happening in tally.take(response):
            _take(outputs[happening.target.node_id], happening.event)
        if response.HasField("finished") or response.up_to_date:
            return StoredCommand(command=stored.command, executions=stored.executions, outputs=dict(outputs))
    raise StreamBroken


def _take(kept: Kept, event: pb.CommandEvent) -> None:
    if event.WhichOneof("event") == "gap":
        kept.has_gap = True
    elif event.WhichOneof("event") == "output":
        if event.output.stream == pb.OUTPUT_STREAM_STDOUT:
            kept.stdout += event.output.data
        else:
            kept.stderr += event.output.data
