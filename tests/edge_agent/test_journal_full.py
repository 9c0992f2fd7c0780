"""A journal that is full, or whose disk is: new work is refused, nothing that was promised is lost, and it recovers."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_agent.executions import journal as journals
from edge_agent.executions import journal_file as journal_files
from edge_agent.executions import journal_records
from edge_agent.executions.journal import BYTES_LIMIT, ENTRIES_LIMIT, Journal
from edge_wire.errors import JournalFull
from tests.edge_agent.test_journal import END, FIRST, SECOND, THIRD, entry, journal_of, reopened
from tests.support.eventually import eventually


async def mostly_forgotten(directory: Path) -> Journal:
    """A journal with one execution that is to be written anew with its next record."""
    journal = await journal_of(directory, FIRST)
    for number in range(100, 110):
        await journal.accept(entry(str(number)))
        await journal.end(str(number), END)
        journal.forget(str(number))
    journal._compact_at = 0
    return journal


def written(directory: Path) -> int:
    """How much was written to the journal; what is behind it is laid down for what comes next."""
    return len((directory / "journal").read_bytes().rstrip(b"\0"))


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


async def test_a_journal_with_too_many_entries_takes_no_more(tmp_path: Path) -> None:
    journal = await journal_of(tmp_path)
    journal.entries.update({str(number): entry(str(number)) for number in range(ENTRIES_LIMIT - 1)})
    journal.require_room()
    journal.entries["last"] = entry("last")
    with pytest.raises(JournalFull, match=str(ENTRIES_LIMIT)):
        journal.require_room()
    journal.forget("last")
    journal.require_room()
    await journal.close()


async def test_a_journal_that_is_too_large_takes_no_more(tmp_path: Path) -> None:
    journal = await journal_of(tmp_path)
    for execution_id in (FIRST, SECOND):
        await journal.accept(entry(execution_id, argument="x" * (BYTES_LIMIT // 2)))
    with pytest.raises(JournalFull, match="size limit"):
        journal.require_room()
    await journal.close()


async def test_a_journal_that_was_full_takes_more_once_its_ends_are_acknowledged(tmp_path: Path) -> None:
    journal = await journal_of(tmp_path)
    ids = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(8)]
    for execution_id in ids:
        await journal.accept(entry(execution_id, argument="x" * (BYTES_LIMIT // 8)))
    with pytest.raises(JournalFull, match="size limit"):
        journal.require_room()
    for execution_id in ids:
        await journal.end(execution_id, END)
    journal.require_room()  # what was asked is not needed any more, only how it ended
    for execution_id in ids:
        journal.forget(execution_id)
    await journal.accept(entry(FIRST))
    await journal.close()
    assert written(tmp_path) < 10_000


async def test_ends_are_taken_beyond_every_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = await journal_of(tmp_path, FIRST, SECOND)
    monkeypatch.setattr(journals, "ENTRIES_LIMIT", 1)
    monkeypatch.setattr(journals, "BYTES_LIMIT", 1)
    for execution_id in (FIRST, SECOND):
        await journal.end(execution_id, END)
    await journal.close()
    assert [found.end for found in (await reopened(tmp_path)).values()] == [END, END]


@contextmanager
def full_disk(*, after: int) -> Iterator[None]:
    """No file of this process grows beyond this many bytes; what fits of a write is written, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


async def test_a_full_disk_refuses_and_keeps_what_was_there(tmp_path: Path) -> None:
    journal = await journal_of(tmp_path, FIRST)
    size = written(tmp_path)
    with full_disk(after=size + 10), pytest.raises(JournalFull, match="disk takes nothing"):
        await journal.accept(entry(SECOND))
    assert list(journal.entries) == [FIRST]
    assert written(tmp_path) == size
    await journal.close()
    assert list(await reopened(tmp_path)) == [FIRST]


async def test_what_is_accepted_after_a_full_disk_is_there_after_a_crash(tmp_path: Path) -> None:
    journal = await journal_of(tmp_path, FIRST)
    with full_disk(after=written(tmp_path) + 10), pytest.raises(JournalFull):
        await journal.accept(entry(SECOND))
    await journal.accept(entry(THIRD))
    await journal.close()
    assert list(await reopened(tmp_path)) == [FIRST, THIRD]


async def test_an_end_waits_for_the_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = await journal_of(tmp_path, FIRST)
    with full_disk(after=written(tmp_path)):
        ending = eventually(lambda: "waits for the disk" in caplog.text)
        writing = asyncio.create_task(journal.end(FIRST, END))
        await ending
    await writing
    await journal.close()
    assert (await reopened(tmp_path))[FIRST].end == END


async def test_a_journal_opens_on_a_full_disk_and_goes_on_where_it_was_torn(tmp_path: Path) -> None:
    await (await journal_of(tmp_path, FIRST, SECOND)).close()
    size = written(tmp_path)
    with (tmp_path / "journal").open("ab") as file:
        file.write(b'0badcafe {"type":"accep')
    with full_disk(after=size - 1):
        journal = await journal_of(tmp_path)
        assert list(journal.entries) == [FIRST, SECOND]
        with pytest.raises(JournalFull, match="disk takes nothing"):
            await journal.accept(entry(THIRD))
    assert [path.name for path in tmp_path.iterdir()] == ["journal"]
    await journal.accept(entry(THIRD))
    await journal.close()
    assert list(await reopened(tmp_path)) == [FIRST, SECOND, THIRD]


async def test_a_first_journal_on_a_full_disk_begins_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full.setattr(journal_files, "_write_fully", no_space)
        journal = await journal_of(tmp_path)
        with pytest.raises(JournalFull):
            await journal.accept(entry(FIRST))
    await journal.accept(entry(SECOND))
    await journal.close()
    assert list(await reopened(tmp_path)) == [SECOND]


async def test_without_room_to_write_it_anew_the_journal_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal = await mostly_forgotten(tmp_path)
    monkeypatch.setattr(journal, "_replace", no_space)
    await journal.accept(entry(SECOND))
    assert "cannot be written anew" in caplog.text
    await journal.close()
    assert list(await reopened(tmp_path)) == [FIRST, SECOND]


async def test_what_was_refused_is_not_in_a_journal_that_was_written_anew_just_before(tmp_path: Path) -> None:
    journal = await mostly_forgotten(tmp_path)
    anew = journal_records.all_of(journal.entries[FIRST])
    anew += [journal_records.forgotten(execution_id) for execution_id in journal.forgotten]
    size = len(b"".join(journal_records.to_line(record) for record in anew))
    with full_disk(after=size + 10), pytest.raises(JournalFull):
        await journal.accept(entry(SECOND))
    assert written(tmp_path) == size
    await journal.close()
    assert list(await reopened(tmp_path)) == [FIRST]


async def test_a_line_that_cannot_be_taken_back_is_not_written_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await journal_of(tmp_path, FIRST)
    with monkeypatch.context() as broken, full_disk(after=written(tmp_path) + 10):
        broken.setattr(os, "ftruncate", no_space)
        with pytest.raises(JournalFull):
            await journal.accept(entry(SECOND))
    await journal.accept(entry(THIRD))
    await journal.close()
    assert list(await reopened(tmp_path)) == [FIRST, THIRD]
    assert not (tmp_path / "journal.damaged").exists()


async def test_a_disk_that_fails_to_sync_has_promised_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = await journal_of(tmp_path, FIRST)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", no_space)
        with pytest.raises(JournalFull):
            await journal.accept(entry(SECOND))
    await journal.accept(entry(THIRD))
    await journal.close()
    assert list(await reopened(tmp_path)) == [FIRST, THIRD]
