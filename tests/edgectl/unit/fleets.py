"""Fleets of many nodes for the tests of views that put them together: who wrote what and how they ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from edge_wire.v1 import command_pb2 as pb
from edgectl.execution.sink import Piece
from edgectl.execution.tally import Tally
from edgectl.views.view import STDOUT, View
from tests.edgectl.unit.events import STDERR, ended, ok, output, result_of, says, tally_of


@dataclass
class Told:
    """What one node wrote, and how it ended; without an end it goes on."""

    stdout: bytes = b""
    stderr: bytes = b""
    end: pb.ExecutionEnd | None = field(default_factory=ok)

    def events(self, target: pb.Target) -> list[pb.CommandEvent]:
        found = [output(self.stdout, of=target)] if self.stdout else []
        found += [output(self.stderr, of=target, stream=STDERR)] if self.stderr else []
        return [*found, ended(self.end, of=target)] if self.end is not None else found


def edges(count: int) -> list[pb.Target]:
    """`edge01` and so on."""
    return [
        pb.Target(execution_id=f"x{number:02}", node_id=f"n{number:02}", node_name=f"edge{number:02}", cluster="oslo")
        for number in range(1, count + 1)
    ]


def told(tally: Tally, view: View, fleet: Iterable[Told]) -> None:
    """Let the nodes of a tally say this, in their order."""
    targets = [item.target for item in tally.standings.values()]
    for target, words in zip(targets, fleet, strict=True):
        pieces = view.show(tally.take(says(*words.events(target))))
        assert pieces == []


def finished(tally: Tally, view: View) -> str:
    """What is written at the end."""
    pieces: list[Piece] = view.finish(result_of(tally))
    assert {piece.descriptor for piece in pieces} <= {STDOUT}
    return b"".join(piece.data for piece in pieces).decode(errors="surrogateescape")


def tally_for(fleet: Sequence[Told]) -> Tally:
    """A tally that knows of a command on as many nodes."""
    return tally_of(*edges(len(fleet)))
