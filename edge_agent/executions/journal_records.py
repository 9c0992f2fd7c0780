"""What the journal's file says: records as lines with a checksum, and what a file of them means. No I/O.

A torn last line is what a crash leaves and means nothing; a line damaged elsewhere costs what it said and no more.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

FORGOTTEN_LIMIT = 10_000
"""So many of the newest acknowledged ids are remembered, lest a late order starts one again."""

Record = dict[str, Any]
_to_json = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(kw_only=True)
class Entry:
    """What the journal holds of one execution."""

    id: str
    runner_instance: str
    """The runner that may have been told to start it; empty while none was."""
    boot_id: str
    request: dict[str, Any] = field(repr=False)
    """Empty once it ended: scripts are large, and environments may hold secrets."""
    accepted_at: str = ""
    """RFC 3339, by the node's clock; for people."""
    started: dict[str, Any] | None = None
    end: dict[str, Any] | None = None
    size: int = 0
    """Bytes that it takes in the file, about."""

    def note_end(self, end: Mapping[str, Any]) -> None:
        """It is over, and nobody will start it again."""
        self.end = dict(end)
        self.request = {}


class Forgotten:
    """The newest acknowledged ids, as many as are remembered."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def __contains__(self, execution_id: str) -> bool:
        return execution_id in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, execution_id: str) -> None:
        """Remember one more; the oldest gives way."""
        self._ids[execution_id] = None
        if len(self._ids) > FORGOTTEN_LIMIT:
            del self._ids[next(iter(self._ids))]


@dataclass(kw_only=True)
class Contents:
    """What a file means."""

    entries: dict[str, Entry] = field(default_factory=dict)
    forgotten: Forgotten = field(default_factory=Forgotten)
    sound_size: int = 0
    """Bytes up to the end of the last whole line; what follows was torn by a crash."""
    damaged: int = 0
    """Lines that could not be read."""


def accepted(entry: Entry) -> Record:
    """It is ours from now on."""
    return {
        "type": "accepted",
        "id": entry.id,
        "runner_instance": entry.runner_instance,
        "boot_id": entry.boot_id,
        "at": entry.accepted_at,
        "request": entry.request,
    }


def handed(execution_id: str, runner_instance: str) -> Record:
    """This runner may be told to start it."""
    return {"type": "handed", "id": execution_id, "runner_instance": runner_instance}


def started(execution_id: str, facts: Mapping[str, Any]) -> Record:
    """Its process runs."""
    return {"type": "started", "id": execution_id, "facts": dict(facts)}


def ended(execution_id: str, end: Mapping[str, Any]) -> Record:
    """It is over."""
    return {"type": "ended", "id": execution_id, "end": dict(end)}


def forgotten(execution_id: str) -> Record:
    """Its end was acknowledged."""
    return {"type": "forgotten", "id": execution_id}


def all_of(entry: Entry) -> list[Record]:
    """The records that say all of an entry."""
    records = [accepted(entry)]
    if entry.started is not None:
        records.append(started(entry.id, entry.started))
    if entry.end is not None:
        records.append(ended(entry.id, entry.end))
    return records


def to_line(record: Record) -> bytes:
    """One record as it stands in the file."""
    body = _to_json(record).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def read(data: bytes) -> Contents:
    """What the bytes of a file mean."""
    lines = data.split(b"\n")
    contents = Contents(sound_size=len(data) - len(lines[-1]))
    for line in lines[:-1]:
        record = _read_line(line)
        if record is None or not _apply(contents, record, len(line) + 1):
            contents.damaged += 1
    return contents


def _read_line(line: bytes) -> Record | None:
    checksum, _, body = line.partition(b" ")
    try:
        if int(checksum, 16) != zlib.crc32(body):
            return None
        record = json.loads(body)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _apply(contents: Contents, record: Record, size: int) -> bool:
    """Take one record; False when it says less than it must. What a newer agent may have added is passed over."""
    try:
        execution_id, kind = record["id"], record["type"]
        if kind == "accepted":
            contents.entries[execution_id] = Entry(
                id=execution_id,
                runner_instance=record["runner_instance"],
                boot_id=record["boot_id"],
                request=record["request"],
                accepted_at=record.get("at", ""),
                size=size,
            )
        elif kind == "forgotten":
            contents.entries.pop(execution_id, None)
            contents.forgotten.add(execution_id)
        elif execution_id in contents.entries:
            _apply_to(contents.entries[execution_id], kind, record)
            if kind == "ended":
                contents.entries[execution_id].size = size
    except KeyError:
        return False
    return True


def _apply_to(entry: Entry, kind: str, record: Record) -> None:
    if kind == "handed":
        entry.runner_instance = record["runner_instance"]
    elif kind == "started":
        entry.started = record["facts"]
    elif kind == "ended":
        entry.note_end(record["end"])
