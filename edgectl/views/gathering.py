"""Collects what nodes write until they end, and puts those together that wrote the same and ended the same way.

The same means: every byte of stdout and of stderr, holes at the same places, and the same outcome with the same exit
code or reason. A node that printed what all others did and failed is a group of its own; whoever looks at groups looks
for the odd one. Who did not run and wrote nothing (offline, never started) is in no group: the last lines name them.

Bytes are hashed as they arrive and one copy of each distinct output is kept, so that memory does not grow with the
number of nodes that agree. What is kept is bounded per stream and in all; what is beyond is hashed and counted, never
mistaken for the whole. Nothing here works line by line.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import error_pb2
from edgectl.execution.tally import Happening, Standing
from edgectl.views import summary

MIB = 1024 * 1024
STREAM_LIMIT = 16 * MIB
"""Bytes kept of one output stream of one node."""
TOTAL_LIMIT = 256 * MIB
"""Bytes kept in all."""


class Hole(NamedTuple):
    """Bytes that are missing."""

    at: int
    """How many bytes arrived before."""
    size: int


class Identity(NamedTuple):
    """What two streams have in common that are the same."""

    digest: bytes
    holes: tuple[Hole, ...]


@dataclass(frozen=True, kw_only=True)
class Copy:
    """What one stream carried."""

    identity: Identity
    data: bytes
    """What is kept, from the beginning, without what is missing."""
    size: int
    """Bytes that arrived."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Executions that wrote the same and ended the same way; at least one."""

    reason: str
    """How they ended, as in the last lines: `ok`, `failed (exit 3)`, `not finished`."""
    stdout: Copy
    stderr: Copy
    targets: Sequence[pb.Target]


class _Key(NamedTuple):
    reason: str
    stdout: Identity
    stderr: Identity


class Gathering:
    """What has been written so far, by whom."""

    def __init__(self, *, stream_limit: int = STREAM_LIMIT, total_limit: int = TOTAL_LIMIT) -> None:
        self._stream_limit = stream_limit
        self._room = total_limit
        self._growing: dict[tuple[str, bool], _Growing] = {}
        """By execution, and whether it is stderr."""
        self._copies: dict[Identity, Copy] = {_NOTHING.identity: _NOTHING}
        self._members: dict[_Key, list[pb.Target]] = {}
        self._closed: set[str] = set()

    def take(self, happenings: Sequence[Happening]) -> None:
        """Collect, and close whoever ended."""
        for happening in happenings:
            event = happening.event
            kind = event.WhichOneof("event")
            if kind == "output":
                self._add(event.execution_id, event.output)
            elif kind == "gap":
                missing = event.gap.to_offset - event.gap.from_offset
                self._stream(event.execution_id, event.gap.stream).skip(missing)
            elif kind == "end":
                has_run = event.end.started == error_pb2.STARTED_YES
                self._close(happening.target, summary.reason_of_end(event.end), has_run=has_run)

    def close(self, standings: Sequence[Standing]) -> None:
        """Nothing more comes: whoever has not ended is shown with what arrived."""
        for item in standings:
            if item.target.execution_id not in self._closed:
                self._close(item.target, summary.reason(item), has_run=False)

    @property
    def group_count(self) -> int:
        """How many groups there are."""
        return len(self._members)

    def groups(self) -> list[Group]:
        """All groups, the largest first; of two of a size the one that ended well."""
        return [self._group(key) for key in sorted(self._members, key=self._rank)]

    def largest(self, count: int) -> list[Group]:
        """The first groups of `groups()`."""
        return [self._group(key) for key in heapq.nsmallest(count, self._members, key=self._rank)]

    def _rank(self, key: _Key) -> tuple[int, bool, str]:
        members = self._members[key]
        return (-len(members), key.reason != "ok", min(target.node_name for target in members))

    def _group(self, key: _Key) -> Group:
        stdout, stderr = self._copies[key.stdout], self._copies[key.stderr]
        return Group(reason=key.reason, stdout=stdout, stderr=stderr, targets=self._members[key])

    def _add(self, execution_id: str, chunk: pb.OutputChunk) -> None:
        growing = self._stream(execution_id, chunk.stream)
        self._room -= growing.add(chunk.data, min(self._stream_limit - len(growing.kept), self._room))

    def _stream(self, execution_id: str, stream: int) -> _Growing:
        key = (execution_id, stream != pb.OUTPUT_STREAM_STDOUT)
        growing = self._growing.get(key)
        if growing is None:
            growing = self._growing[key] = _Growing()
        return growing

    def _close(self, target: pb.Target, reason: str, *, has_run: bool) -> None:
        self._closed.add(target.execution_id)
        stdout = self._keep(self._growing.pop((target.execution_id, False), None))
        stderr = self._keep(self._growing.pop((target.execution_id, True), None))
        key = _Key(reason, stdout, stderr)
        if has_run or stdout != _NOTHING.identity or stderr != _NOTHING.identity:
            self._members.setdefault(key, []).append(target)

    def _keep(self, growing: _Growing | None) -> Identity:
        """Of two copies the longer one stays."""
        if growing is None:
            return _NOTHING.identity
        identity = growing.identity()
        known = self._copies.get(identity)
        if known is None or len(known.data) < len(growing.kept):
            self._copies[identity] = Copy(identity=identity, data=bytes(growing.kept), size=growing.size)
            self._room += len(known.data) if known else 0
        else:
            self._room += len(growing.kept)
        return identity


class _Growing:
    """One stream of an execution that goes on."""

    def __init__(self) -> None:
        self.kept = bytearray()
        self.size = 0
        self._hash = blake2b(digest_size=16)
        self._holes: list[Hole] = []

    def add(self, data: bytes, room: int) -> int:
        """Returns how many of the bytes are kept: none behind one that was not."""
        self._hash.update(data)
        before = len(self.kept)
        if before == self.size:
            self.kept += data if len(data) <= room else data[: max(room, 0)]
        self.size += len(data)
        return len(self.kept) - before

    def skip(self, size: int) -> None:
        """Holes that touch are one."""
        if self._holes and self._holes[-1].at == self.size:
            size += self._holes.pop().size
        self._holes.append(Hole(self.size, size))

    def identity(self) -> Identity:
        return Identity(self._hash.digest(), tuple(self._holes))


_NOTHING = Copy(identity=_Growing().identity(), data=b"", size=0)
"""A stream on which nothing was written."""
