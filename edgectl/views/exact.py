"""One node named outright: its bytes pass through untouched, so that `exec NODE -- cat FILE > copy` is exact."""

from __future__ import annotations

from collections.abc import Sequence

from edge_wire.v1 import command_pb2 as pb
from edgectl.execution.sink import Piece
from edgectl.execution.tally import Happening
from edgectl.views.escapes import TerminalText
from edgectl.views.view import STDERR, STDOUT, Result


class ExactView:
    """Bytes as they are; only a terminal gets control characters made visible."""

    def __init__(self, *, terminals: frozenset[int]) -> None:
        self._texts = {descriptor: TerminalText() for descriptor in terminals}

    def show(self, happenings: Sequence[Happening]) -> list[Piece]:
        """The bytes."""
        pieces = []
        for happening in happenings:
            if happening.event.WhichOneof("event") == "output":
                output = happening.event.output
                pieces.append(self._piece(STDOUT if output.stream == pb.OUTPUT_STREAM_STDOUT else STDERR, output.data))
        return pieces

    def finish(self, result: Result) -> list[Piece]:
        """What was left of a broken character."""
        rests = [Piece(descriptor, text.feed(b"", is_last=True)) for descriptor, text in self._texts.items()]
        return [piece for piece in rests if piece.data]

    def _piece(self, descriptor: int, data: bytes) -> Piece:
        text = self._texts.get(descriptor)
        return Piece(descriptor, text.feed(data) if text else data)
