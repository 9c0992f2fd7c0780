"""The node's journal: what was accepted, handed over, started, ended and forgotten, on disk before anyone is told.

An append-only file of records, written anew without what is forgotten when that is most of it. Many records share one
fsync. What the file says is in `journal_records`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edge_agent.executions import journal_records as records
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
_UNHEARD_SECONDS = 0.02
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    """One record that is not on disk yet."""

    line: bytes
    done: asyncio.Future[None]
    entry: Entry | None = None
    """The execution that exists only once this is on disk."""


class Journal:
    """Appends records; reads them back at start.

    Without `is_on_disk` it promises nothing: only the benchmark asks what the promise costs.
    """

    def __init__(self, directory: Path, *, is_on_disk: bool = True) -> None:
        self._directory = directory
        self._is_on_disk = is_on_disk
        self._path = directory / _FILE
        self._file: int | None = None
        self._size = 0
        self._compact_at = _COMPACT_AT
        self._kept_bytes = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
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
            contents = await self._off_loop(_prepare, self._directory)
        except OSError as error:
            raise DirectoryNotWritable(f"{self._directory} cannot be used ({error.strerror})") from None
        self.entries, self.forgotten = contents.entries, contents.forgotten
        self._stored = dict(contents.entries)
        self._kept_bytes = sum(entry.size for entry in self.entries.values())
        try:
            await self._compact()
        except OSError as error:
            log.warning("the journal goes on as it was: %s", error.strerror)
            await self._off_loop(self._go_on, contents.sound_size)

    async def close(self) -> None:
        """Write what waits."""
        self._begin_to_write()
        while self._writer is not None:
            await asyncio.wait({self._writer})
        self._thread.shutdown()
        self._let_go()

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
            await self._append(records.accepted(entry), entry)
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
        self._append_unheard(records.handed(execution_id, ""))

    def note_started(self, execution_id: str, facts: Mapping[str, Any]) -> None:
        """Store that a process runs; nobody waits for it."""
        self.entries[execution_id].started = dict(facts)
        self._append_unheard(records.started(execution_id, facts))

    async def end(self, execution_id: str, end: Mapping[str, Any]) -> None:
        """Store an end; on disk when it returns, however long the disk is full."""
        entry = self.entries[execution_id]
        entry.note_end(end)
        record = records.ended(execution_id, end)
        if self._is_on_disk:
            self._resize(entry, len(records.to_line(record)))
        await self._append_at_last(record)

    def forget(self, execution_id: str) -> None:
        """Store that the end was acknowledged; nobody waits for it."""
        if execution_id in self.entries:
            self._drop(execution_id)
            self.forgotten.add(execution_id)
            self._append_unheard(records.forgotten(execution_id))

    # --- what is kept --------------------------------------------------------------------------------------------

    def _drop(self, execution_id: str) -> None:
        self._resize(self.entries.pop(execution_id), 0)
        self._stored.pop(execution_id, None)

    def _resize(self, entry: Entry, size: int) -> None:
        self._kept_bytes += size - entry.size
        entry.size = size

    # --- appending -----------------------------------------------------------------------------------------------

    async def _append_at_last(self, record: Record) -> None:
        """Append, waiting for a disk that takes nothing."""
        while True:
            try:
                await self._append(record)
            except OSError as error:
                log.warning("an execution waits for the disk: %s", error.strerror)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    def _append_unheard(self, record: Record) -> None:
        """Append with the next record that somebody waits for, or a moment later: it is worth no fsync of its own."""
        done = self._add(record)
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
        if self._writer is None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_UNHEARD_SECONDS, self._begin_to_write)

    def _append(self, record: Record, entry: Entry | None = None) -> asyncio.Future[None]:
        done = self._add(record, entry)
        self._begin_to_write()
        return done

    def _add(self, record: Record, entry: Entry | None = None) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._is_on_disk:
            done.set_result(None)
            return done
        line = records.to_line(record)
        if entry is not None:
            self._resize(entry, len(line))
        self._waiting.append(_Waiting(line=line, done=done, entry=entry))
        return done

    def _begin_to_write(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writer is None and self._waiting:
            self._writer = asyncio.create_task(self._write_all())

    async def _write_all(self) -> None:
        """Write until nothing waits; what arrives during one fsync shares the next."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                failure: OSError | None = None
                try:
                    await self._clear_away()
                    await self._off_loop(self._write, b"".join(waiting.line for waiting in batch))
                except OSError as error:
                    failure = error
                for waiting in batch:
                    self._settle(waiting, failure)
        finally:
            self._writer = None

    def _settle(self, waiting: _Waiting, failure: OSError | None) -> None:
        if failure is None and waiting.entry is not None:
            self._stored[waiting.entry.id] = waiting.entry
        if waiting.done.done():
            return  # nobody waits for it any more
        if failure is None:
            waiting.done.set_result(None)
        else:
            waiting.done.set_exception(failure)

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        try:
            _write_fully(self._file, data)
            os.fdatasync(self._file)
        except OSError:
            self._cut(self._size)
            raise
        self._size += len(data)

    def _cut(self, size: int) -> None:
        """Take back what was written in part; a file that even that is impossible for is not appended to any more."""
        assert self._file is not None
        try:
            os.ftruncate(self._file, size)
        except OSError:
            self._let_go()

    def _let_go(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    async def _off_loop(self, work: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    # --- writing it anew -----------------------------------------------------------------------------------------

    async def _clear_away(self) -> None:
        """Write the file anew when most of it is forgotten. Raises OSError when there is no file to append to."""
        if self._file is not None and self._size <= max(self._compact_at, 2 * self._kept_bytes):
            return
        try:
            await self._compact()
        except OSError as error:
            if self._file is None:
                raise
            log.warning("the journal cannot be written anew and grows: %s", error.strerror)
            self._compact_at = self._size + _COMPACT_AT

    async def _compact(self) -> None:
        """Only what is on disk already goes into the new file: nobody may find there what was refused."""
        said = [record for entry in self._stored.values() for record in records.all_of(entry)]
        said += [records.forgotten(execution_id) for execution_id in self.forgotten]
        await self._off_loop(self._replace, said)
        self._compact_at = _COMPACT_AT

    def _replace(self, said: Sequence[Record]) -> None:
        data = b"".join(records.to_line(record) for record in said)
        scratch = self._path.with_name(f"{_FILE}.new")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_fully(descriptor, data)
            os.fsync(descriptor)
            scratch.replace(self._path)
        except OSError:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                scratch.unlink()  # it would take the space that the old file needs
            raise
        self._let_go()
        self._file, self._size = descriptor, len(data)
        try:
            _sync_directory(self._directory)
        except OSError:
            self._let_go()  # after a power loss the old file might be back: nothing may be promised in the new one
            raise

    def _go_on(self, sound_size: int) -> None:
        """Append to the file that is there, behind its last whole line; without one, to none before there is room."""
        with contextlib.suppress(OSError):
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            self._size = sound_size
            self._cut(sound_size)


def read_journal(directory: Path) -> Contents:
    """What the journal of a directory says now, while its agent may be writing. Raises OSError."""
    try:
        return records.read((directory / _FILE).read_bytes())
    except FileNotFoundError:
        return Contents()


def _prepare(directory: Path) -> Contents:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    _sync_directory(directory.parent)
    contents = read_journal(directory)
    if contents.damaged:
        log.error("the journal has %d damaged lines; the rest is used", contents.damaged)
        with contextlib.suppress(OSError):
            (directory / f"{_FILE}.damaged").write_bytes((directory / _FILE).read_bytes())
    return contents


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
