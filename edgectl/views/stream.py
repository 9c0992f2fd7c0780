"""The default view: whole lines as they come, each with its node in front; stdout and stderr stay apart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from edge_wire.names import printable
from edge_wire.v1 import command_pb2 as pb
from edgectl.execution.sink import Piece
from edgectl.execution.tally import Happening
from edgectl.views.escapes import harmless
from edgectl.views.marks import missing_mark
from edgectl.views.view import STDERR, STDOUT, Result

LINE_LIMIT = 64 * 1024
"""A longer line is broken here, with the prefix again, rather than held in memory."""
_DESCRIPTORS: dict[int, int] = {pb.OUTPUT_STREAM_STDOUT: STDOUT, pb.OUTPUT_STREAM_STDERR: STDERR}
_COLORS = (31, 32, 33, 34, 35, 36, 91, 92, 93, 94, 95, 96)


class StreamView:
    """Whole lines with their node in front."""

    def __init__(self, *, has_prefix: bool, is_colored: bool, terminals: frozenset[int]) -> None:
        self._has_prefix = has_prefix
        self._is_colored = is_colored
        self._terminals = terminals
        """Descriptors on which escapes are made visible."""
        self._partial: dict[tuple[str, int], bytearray] = {}

    def show(self, happenings: Sequence[Happening]) -> list[Piece]:
        """Every line that became whole, and what else people must know."""
        return [piece for happening in happenings for piece in self._show(happening)]

    def finish(self, result: Result) -> list[Piece]:
        """Lines without an end of those that did not end."""
        names = {item.target.execution_id: item.target.node_name for item in result.standings}
        return [piece for key in list(self._partial) for piece in self._flush(key, names.get(key[0], ""))]

    def _show(self, happening: Happening) -> list[Piece]:
        event, name = happening.event, happening.target.node_name
        kind = event.WhichOneof("event")
        if kind == "output":
            return self._lines((event.execution_id, event.output.stream), name, event.output.data)
        if kind == "gap":
            key = (event.execution_id, event.gap.stream)
            missing = event.gap.to_offset - event.gap.from_offset
            return [*self._flush(key, name), self._note(name, missing_mark(missing, event.gap.stream))]
        if kind == "queued":
            return [self._note(name, "[offline; it runs when the node is back]")]
        if kind == "no_contact":
            return [self._note(name, "[no_contact; what was started runs on]")]
        if kind == "contact":
            return [self._note(name, "[back]")]
        if kind == "end":
            keys = [(event.execution_id, stream) for stream in _DESCRIPTORS]
            return [piece for key in keys for piece in self._flush(key, name)]
        return []

    def _lines(self, key: tuple[str, int], name: str, data: bytes) -> list[Piece]:
        waiting = self._partial.pop(key, None)
        whole = bytes(waiting) + data if waiting else data
        cut = whole.rfind(b"\n") + 1
        rest = whole[cut:]
        lines = whole[:cut].split(b"\n")[:-1] if cut else []
        while len(rest) > LINE_LIMIT:
            lines.append(rest[:LINE_LIMIT])
            rest = rest[LINE_LIMIT:]
        if rest:
            self._partial[key] = bytearray(rest)
        return [self._piece(_DESCRIPTORS.get(key[1], STDERR), name, lines)] if lines else []

    def _flush(self, key: tuple[str, int], name: str) -> list[Piece]:
        rest = self._partial.pop(key, None)
        return [self._piece(_DESCRIPTORS.get(key[1], STDERR), name, [bytes(rest)])] if rest else []

    def _note(self, name: str, text: str) -> Piece:
        return self._piece(STDERR, name, [text.encode()])

    def _piece(self, descriptor: int, name: str, lines: Sequence[bytes]) -> Piece:
        front = self._front(name)
        if descriptor in self._terminals:
            lines = [harmless(line.removesuffix(b"\r")) for line in lines]
        return Piece(descriptor, b"".join(front + line + b"\n" for line in lines))

    def _front(self, name: str) -> bytes:
        if not self._has_prefix:
            return b""
        shown = printable(name)
        if not self._is_colored:
            return f"{shown}: ".encode()
        color = _COLORS[hashlib.blake2s(name.encode(), digest_size=2).digest()[0] % len(_COLORS)]
        return f"\x1b[{color}m{shown}\x1b[0m: ".encode()
