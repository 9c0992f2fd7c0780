"""The node's journal: what was accepted, handed over, started, ended and forgotten, on disk before anyone is told.

An append-only file of records, written anew without what is forgotten when that is most of it. Many records share one
fsync. What the file says is in `journal_records`, how it is on the disk in `journal_file`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edge_agent.executions import journal_records as records
from edge_agent.executions.disk_thread import DiskThread, Then
from edge_agent.executions.journal_file import JournalFile, sync_directory
from edge_agent.executions.journal_records import Contents, Entry, Record
from edge_wire.errors import DirectoryNotWritable, JournalFull

log = logging.getLogger(__name__)

ENTRIES_LIMIT = 10_000
BYTES_LIMIT = 64 * 1024 * 1024
"""Of what the journal must keep; with what is forgotten and not cleared away yet the file may be twice as large."""
DIRECTORY = "executions"
"""Where it lies in the agent's data directory."""
_FILE = "journal"
_COMPACT_AT = 4 * 1024 * 1024
_RETRY_SECONDS = 1.0
_STARTED_SECONDS = 0.1
"""How long a start waits for a record that somebody waits for; whoever comes in between finds the process by its mark.
"""
_FORGOTTEN_SECONDS = 1.0
"""The same for what is forgotten: at worst its end is told, and acknowledged, once more."""


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    """One record that is not on disk yet."""

    line: bytes
    done: asyncio.Future[None] | None
    """None when nobody waits for it."""
    entry: Entry | None
    """The execution that exists only once this is on disk."""
    is_synced: bool
    """It has to be there after a power loss too."""


class Journal:
    """Appends records; reads them back at start.

    Without `is_on_disk` it promises nothing: only the benchmark asks what the promise costs.
    """

    def __init__(self, directory: Path, *, is_on_disk: bool = True) -> None:
        self._directory = directory
        self._is_on_disk = is_on_disk
        self._file = JournalFile(directory / _FILE)
        self._compact_at = _COMPACT_AT
        self._kept_bytes = 0
        self._disk = DiskThread("journal")
        self._waiting: list[_Waiting] = []
        self._is_writing = False
        """A batch is on its way to the disk, or is about to be put together."""
        self._is_quiet = asyncio.Event()
        self._clearing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_urgent = False
        """What waits is to be written now."""
        self._stored: dict[str, Entry] = {}
        """Those among the entries whose acceptance is on disk."""
        self.entries: dict[str, Entry] = {}
        self.forgotten = records.Forgotten()

    async def open(self) -> None:
        """Read what is there and write it anew, without what is forgotten, if the disk has room for that.

        Raises DirectoryNotWritable when it cannot even be read: nobody knows then what must not be started again.
        """
        if not self._is_on_disk:
            return
        try:
            contents = await self._disk.run(partial(_prepare, self._directory))
        except OSError as error:
            raise DirectoryNotWritable(f"{self._directory} cannot be used ({error.strerror})") from None
        self.entries, self.forgotten = contents.entries, contents.forgotten
        self._stored = dict(contents.entries)
        self._kept_bytes = sum(entry.size for entry in self.entries.values())
        try:
            await self._compact()
        except OSError as error:
            log.warning("the journal goes on as it was: %s", error.strerror)
            await self._disk.run(partial(self._file.go_on, contents.sound_size))

    async def close(self) -> None:
        """Write what waits."""
        self._write_now()
        while self._is_writing:
            self._is_quiet.clear()
            await self._is_quiet.wait()
        await self._disk.run(self._file.close)
        self._disk.stop()

    def require_room(self) -> None:
        """Raise JournalFull when no new execution may be accepted. An end is never refused."""
        if len(self.entries) >= ENTRIES_LIMIT:
            raise JournalFull(f"{len(self.entries)} executions wait in the node's journal for their acknowledgement")
        if self._kept_bytes >= BYTES_LIMIT:
            raise JournalFull("the node's journal has reached its size limit")

    async def accept(self, entry: Entry) -> None:
        """Store a new execution; on disk when it returns. Raises JournalFull when the disk takes nothing."""
        self.entries[entry.id] = entry
        try:
            await self._append(records.accepted(entry), entry, is_new=True)
        except OSError as error:
            self._drop(entry.id)
            raise JournalFull(f"the node's disk takes nothing ({error.strerror})") from None

    async def hand_over(self, execution_id: str, runner_instance: str) -> None:
        """Store which runner will be told to start it; on disk when it returns, however long the disk is full."""
        self.entries[execution_id].runner_instance = runner_instance
        await self._append_at_last(records.handed(execution_id, runner_instance))

    def note_not_handed(self, execution_id: str) -> None:
        """Store that no runner was told of it after all; `close` waits for it."""
        self.entries[execution_id].runner_instance = ""
        self._append_unheard(records.handed(execution_id, ""), _STARTED_SECONDS)

    def note_started(self, execution_id: str, facts: Mapping[str, Any]) -> None:
        """Store that a process runs; nobody waits for it."""
        self.entries[execution_id].started = dict(facts)
        self._append_unheard(records.started(execution_id, facts), _STARTED_SECONDS)

    async def end(self, execution_id: str, end: Mapping[str, Any]) -> None:
        """Store an end; on disk when it returns, however long the disk is full."""
        entry = self.entries[execution_id]
        entry.note_end(end)
        await self._append_at_last(records.ended(execution_id, end), entry)

    def forget(self, execution_id: str) -> None:
        """Store that the end was acknowledged; nobody waits for it."""
        if execution_id in self.entries:
            self._drop(execution_id)
            self.forgotten.add(execution_id)
            self._append_unheard(records.forgotten(execution_id), _FORGOTTEN_SECONDS, is_synced=False)

    # --- what is kept --------------------------------------------------------------------------------------------

    def _drop(self, execution_id: str) -> None:
        self._resize(self.entries.pop(execution_id), 0)
        self._stored.pop(execution_id, None)

    def _resize(self, entry: Entry, size: int) -> None:
        self._kept_bytes += size - entry.size
        entry.size = size

    # --- appending -----------------------------------------------------------------------------------------------

    async def _append_at_last(self, record: Record, entry: Entry | None = None) -> None:
        """Append, waiting for a disk that takes nothing."""
        while True:
            try:
                await self._append(record, entry)
            except OSError as error:
                log.warning("an execution waits for the disk: %s", error.strerror)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    def _append(self, record: Record, entry: Entry | None, *, is_new: bool = False) -> asyncio.Future[None]:
        """Append now. With an entry the record is all that is kept of it; one that is new exists from then on."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._is_on_disk:
            done.set_result(None)
            return done
        line = records.to_line(record)
        if entry is not None:
            self._resize(entry, len(line))
        self._waiting.append(_Waiting(line=line, done=done, entry=entry if is_new else None, is_synced=True))
        self._write_now()
        return done

    def _append_unheard(self, record: Record, seconds: float, *, is_synced: bool = True) -> None:
        """Append with the next record that somebody waits for, or after so long: it is worth no write of its own."""
        if not self._is_on_disk:
            return
        self._waiting.append(_Waiting(line=records.to_line(record), done=None, entry=None, is_synced=is_synced))
        loop = asyncio.get_running_loop()
        if self._timer is None or self._timer.when() > loop.time() + seconds:
            self._drop_timer()
            self._timer = loop.call_later(seconds, self._write_now)

    def _drop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _write_now(self) -> None:
        self._drop_timer()
        self._is_urgent = True
        if not self._is_writing and self._waiting:
            self._is_writing = True
            # What else is said in this turn of the loop shares the batch.
            asyncio.get_running_loop().call_soon(self._write_batch)

    def _write_batch(self) -> None:
        """Have all that waits written; what arrives meanwhile shares the next one."""
        self._drop_timer()
        self._is_urgent = False
        batch, self._waiting = self._waiting, []
        write, written = partial(self._write, batch), partial(self._written, batch)
        if self._is_to_be_cleared:
            self._clearing = asyncio.create_task(self._clear_away(write, written))
        else:
            self._disk.do(write, written)

    def _written(self, batch: Sequence[_Waiting], _nothing: None, failure: Exception | None) -> None:
        for waiting in batch:
            self._settle(waiting, failure)
        self._is_writing = False
        if self._is_urgent:
            self._write_now()
        self._is_quiet.set()

    def _settle(self, waiting: _Waiting, failure: Exception | None) -> None:
        if failure is None and waiting.entry is not None:
            self._stored[waiting.entry.id] = waiting.entry
        if waiting.done is None or waiting.done.done():
            return  # nobody waits for it, or not any more
        if failure is None:
            waiting.done.set_result(None)
        else:
            waiting.done.set_exception(failure)

    def _write(self, batch: Sequence[_Waiting]) -> None:
        data = b"".join(waiting.line for waiting in batch)
        self._file.append(data, is_synced=any(waiting.is_synced for waiting in batch))

    # --- writing it anew -----------------------------------------------------------------------------------------

    @property
    def _is_to_be_cleared(self) -> bool:
        """Whether most of the file is forgotten, or there is none to append to."""
        return not self._file.is_open or self._file.size > max(self._compact_at, 2 * self._kept_bytes)

    async def _clear_away(self, write: Callable[[], None], written: Then) -> None:
        """Write the file anew, then append to it."""
        try:
            await self._compact()
        except OSError as error:
            if not self._file.is_open:
                written(None, error)
                return
            log.warning("the journal cannot be written anew and grows: %s", error.strerror)
            self._compact_at = self._file.size + _COMPACT_AT
        self._disk.do(write, written)

    async def _compact(self) -> None:
        """Only what is on disk already goes into the new file: nobody may find there what was refused."""
        said = [record for entry in self._stored.values() for record in records.all_of(entry)]
        said += [records.forgotten(execution_id) for execution_id in self.forgotten]
        await self._disk.run(partial(self._replace, said))
        self._compact_at = _COMPACT_AT

    def _replace(self, said: Sequence[Record]) -> None:
        self._file.replace(b"".join(records.to_line(record) for record in said))


def read_journal(directory: Path) -> Contents:
    """What the journal of a directory says now, while its agent may be writing. Raises OSError."""
    try:
        return records.read((directory / _FILE).read_bytes())
    except FileNotFoundError:
        return Contents()


def _prepare(directory: Path) -> Contents:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    sync_directory(directory.parent)
    contents = read_journal(directory)
    if contents.damaged:
        log.error("the journal has %d damaged lines; the rest is used", contents.damaged)
        with contextlib.suppress(OSError):
            (directory / f"{_FILE}.damaged").write_bytes((directory / _FILE).read_bytes())
    return contents
