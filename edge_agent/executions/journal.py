"""The node's journal: what was accepted, handed over, started, ended and forgotten, on disk before anyone is told.

An append-only file of JSON lines, each with a checksum. Many records share one fsync. A torn last line is what a crash
leaves and is dropped; a line damaged elsewhere is passed over and the file kept aside.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_wire.errors import JournalFull

log = logging.getLogger(__name__)

ENTRIES_LIMIT = 10_000
BYTES_LIMIT = 64 * 1024 * 1024
_COMPACT_AT = 4 * 1024 * 1024
_RETRY_SECONDS = 1.0


@dataclass(kw_only=True)
class Entry:
    """What the journal holds of one execution."""

    id: str
    runner_instance: str
    """The runner that may have been told to start it; empty while none was."""
    boot_id: str
    request: dict[str, Any] = field(repr=False)
    """Empty once it ended: scripts are large, and environments may hold secrets."""
    started: dict[str, Any] | None = None
    end: dict[str, Any] | None = None

    def note_end(self, end: Mapping[str, Any]) -> None:
        """It is over, and nobody will start it again."""
        self.end = dict(end)
        self.request = {}


class Journal:
    """Appends records; reads them back at start."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "journal"
        self._file: int | None = None
        self._size = 0
        self._compact_at = _COMPACT_AT
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._waiting: list[tuple[dict[str, Any], asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self.entries: dict[str, Entry] = {}

    async def open(self) -> None:
        """Read what is there and write it anew, without what is forgotten."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.entries = _replay(self._path)
        await self._off_loop(self._compact)

    async def close(self) -> None:
        """Write what waits."""
        while self._writer is not None:
            await asyncio.wait({self._writer})
        self._thread.shutdown()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def require_room(self) -> None:
        """Raise JournalFull when no new execution may be accepted."""
        if len(self.entries) >= ENTRIES_LIMIT:
            raise JournalFull(f"{len(self.entries)} executions wait in the node's journal for their acknowledgement")
        if self._size >= BYTES_LIMIT:
            raise JournalFull("the node's journal has reached its size limit")

    async def accept(self, entry: Entry) -> None:
        """Store a new execution; on disk when it returns. Raises JournalFull when the disk takes nothing."""
        self.entries[entry.id] = entry
        try:
            await self._append(_accepted_record(entry))
        except OSError as error:
            del self.entries[entry.id]
            raise JournalFull(f"the node's disk takes nothing ({error.strerror})") from None

    async def hand_over(self, execution_id: str, runner_instance: str) -> None:
        """Store which runner will be told to start it; on disk when it returns, however long the disk is full."""
        self.entries[execution_id].runner_instance = runner_instance
        await self._append_at_last({"type": "handed", "id": execution_id, "runner_instance": runner_instance})

    def note_not_handed(self, execution_id: str) -> None:
        """Store that no runner was told of it after all; `close` waits for it."""
        self.entries[execution_id].runner_instance = ""
        self._append_unheard({"type": "handed", "id": execution_id, "runner_instance": ""})

    def note_started(self, execution_id: str, facts: Mapping[str, Any]) -> None:
        """Store that a process runs; nobody waits for it."""
        self.entries[execution_id].started = dict(facts)
        self._append_unheard({"type": "started", "id": execution_id, "facts": dict(facts)})

    async def end(self, execution_id: str, end: Mapping[str, Any]) -> None:
        """Store an end; on disk when it returns, however long the disk is full."""
        self.entries[execution_id].note_end(end)
        await self._append_at_last({"type": "ended", "id": execution_id, "end": dict(end)})

    def forget(self, execution_id: str) -> None:
        """Store that the end was acknowledged; nobody waits for it."""
        if self.entries.pop(execution_id, None) is not None:
            self._append_unheard({"type": "forgotten", "id": execution_id})

    # --- inside --------------------------------------------------------------------------------------------------

    async def _append_at_last(self, record: dict[str, Any]) -> None:
        """Append, waiting for a disk that takes nothing."""
        while True:
            try:
                await self._append(record)
            except OSError as error:
                log.warning("an execution waits for the disk: %s", error.strerror)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    def _append_unheard(self, record: dict[str, Any]) -> None:
        self._append(record).add_done_callback(lambda future: future.cancelled() or future.exception())

    def _append(self, record: dict[str, Any]) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, future))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())
        return future

    async def _write_all(self) -> None:
        """Write until nothing waits; what arrives during one fsync shares the next."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                failure: Exception | None = None
                try:
                    await self._off_loop(self._write, [record for record, _ in batch])
                except OSError as error:
                    failure = error
                for _, future in batch:
                    _settle(future, failure)
        finally:
            self._writer = None

    async def _off_loop(self, work: Any, *arguments: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _write(self, records: list[dict[str, Any]]) -> None:
        if self._file is None or self._size > self._compact_at:
            self._compact()
        assert self._file is not None
        data = b"".join(_line(record) for record in records)
        try:
            _write_fully(self._file, data)
            os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def _compact(self) -> None:
        records = [record for entry in list(self.entries.values()) for record in _records(entry)]
        data = b"".join(_line(record) for record in records)
        scratch = self._path.with_name("journal.new")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_fully(descriptor, data)
            os.fsync(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        scratch.replace(self._path)
        _sync_directory(self._directory)
        if self._file is not None:
            os.close(self._file)
        self._file, self._size = descriptor, len(data)
        self._compact_at = max(_COMPACT_AT, 2 * len(data))


def _settle(future: asyncio.Future[None], failure: Exception | None) -> None:
    if future.done():
        return
    if failure is None:
        future.set_result(None)
    else:
        future.set_exception(failure)


def _accepted_record(entry: Entry) -> dict[str, Any]:
    return {
        "type": "accepted",
        "id": entry.id,
        "runner_instance": entry.runner_instance,
        "boot_id": entry.boot_id,
        "request": entry.request,
    }


def _records(entry: Entry) -> list[dict[str, Any]]:
    records = [_accepted_record(entry)]
    if entry.started is not None:
        records.append({"type": "started", "id": entry.id, "facts": entry.started})
    if entry.end is not None:
        records.append({"type": "ended", "id": entry.id, "end": entry.end})
    return records


def _line(record: dict[str, Any]) -> bytes:
    body = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _replay(path: Path) -> dict[str, Entry]:
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}
    entries: dict[str, Entry] = {}
    damaged = 0
    for line in lines[:-1]:  # what follows the last newline was torn by a crash
        record = _read_line(line)
        if record is None:
            damaged += 1
            continue
        _apply(entries, record)
    if damaged:
        aside = path.with_name("journal.damaged")
        aside.write_bytes(b"\n".join(lines))
        log.error("the journal had %d damaged lines; the rest is used, the file is kept as %s", damaged, aside.name)
    return entries


def _read_line(line: bytes) -> dict[str, Any] | None:
    checksum, _, body = line.partition(b" ")
    try:
        if int(checksum, 16) != zlib.crc32(body):
            return None
        record = json.loads(body)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _apply(entries: dict[str, Entry], record: dict[str, Any]) -> None:
    execution_id, kind = record["id"], record["type"]
    if kind == "accepted":
        entries[execution_id] = Entry(
            id=execution_id,
            runner_instance=record["runner_instance"],
            boot_id=record["boot_id"],
            request=record["request"],
        )
    elif execution_id in entries and kind == "handed":
        entries[execution_id].runner_instance = record["runner_instance"]
    elif execution_id in entries and kind == "started":
        entries[execution_id].started = record["facts"]
    elif execution_id in entries and kind == "ended":
        entries[execution_id].note_end(record["end"])
    elif kind == "forgotten":
        entries.pop(execution_id, None)


def _write_fully(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_DIRECTORY | os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
