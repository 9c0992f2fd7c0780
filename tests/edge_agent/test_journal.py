"""The journal: what it said was stored is there after a crash, and damage costs no more than what was damaged."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from edge_agent.executions import journal as journals
from edge_agent.executions import journal_records
from edge_agent.executions.journal import Journal, read_journal
from edge_agent.executions.journal_records import Entry
from edge_wire.errors import DirectoryNotWritable
from tests.support.eventually import eventually

FIRST, SECOND, THIRD = (f"{number:08x}-0000-4000-8000-000000000000" for number in (1, 2, 3))
REQUEST = {"argv": ["echo", "hi"], "timeout": None, "kill_after": 5.0, "exact": False}
STARTED = {"pid": 4711, "start_ticks": 99}
END = {"outcome": "failed", "exit_code": 3, "stdout_bytes": 12}


def entry(execution_id: str, *, argument: str = "hi") -> Entry:
    request = {**REQUEST, "argv": ["echo", argument]}
    return Entry(
        id=execution_id,
        runner_instance="runner-1",
        boot_id="boot-1",
        request=request,
        accepted_at="2026-03-01T12:00:00+00:00",
    )


async def reopened(directory: Path) -> dict[str, Entry]:
    """What a new agent finds; the journal is read as a crash left it."""
    journal = Journal(directory)
    await journal.open()
    await journal.close()
    return journal.entries


async def journal_of(directory: Path, *execution_ids: str) -> Journal:
    journal = Journal(directory)
    await journal.open()
    for execution_id in execution_ids:
        await journal.accept(entry(execution_id))
    return journal


async def test_what_was_accepted_started_and_ended_is_there_after_a_crash(tmp_path: Path) -> None:
    journal = await journal_of(tmp_path, FIRST, SECOND, THIRD)
    journal.note_started(FIRST, STARTED)
    journal.note_started(SECOND, STARTED)
    await journal.end(FIRST, END)
    found = await reopened(tmp_path)  # without a close before
    await journal.close()
    assert list(found) == [FIRST, SECOND, THIRD]
    assert (found[SECOND].request["argv"], found[SECOND].boot_id) == (["echo", "hi"], "boot-1")
    assert (found[FIRST].started, found[FIRST].end) == (STARTED, END)
    assert (found[SECOND].started, found[SECOND].end) == (STARTED, None)
    assert (found[THIRD].started, found[THIRD].end) == (None, None)


async def test_what_was_forgotten_is_gone_but_for_its_id(tmp_path: Path) -> None:
    journal = await journal_of(tmp_path, FIRST, SECOND)
    await journal.end(FIRST, END)
    journal.forget(FIRST)
    await journal.close()
    assert list(await reopened(tmp_path)) == [SECOND]
    again = await journal_of(tmp_path)
    assert (FIRST in again.forgotten, SECOND in again.forgotten) == (True, False)
    await again.close()
    lines = [line for line in (tmp_path / "journal").read_bytes().splitlines() if FIRST.encode() in line]
    assert lines == [journal_records.to_line(journal_records.forgotten(FIRST)).rstrip()]


async def test_only_the_newest_forgotten_ids_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_records, "FORGOTTEN_LIMIT", 2)
    journal = await journal_of(tmp_path, FIRST, SECOND, THIRD)
    for execution_id in (FIRST, SECOND, THIRD):
        await journal.end(execution_id, END)
        journal.forget(execution_id)
    await journal.close()
    again = await journal_of(tmp_path)
    assert list(again.forgotten) == list(journal.forgotten) == [SECOND, THIRD]
    await again.close()


async def test_what_was_to_be_run_is_not_kept_longer_than_until_its_end(tmp_path: Path) -> None:
    journal = await journal_of(tmp_path)
    await journal.accept(entry(FIRST, argument="a secret"))
    assert "a secret" not in repr(journal.entries)
    await journal.end(FIRST, END)
    assert journal.entries[FIRST].request == {}
    await journal.close()
    assert (await reopened(tmp_path))[FIRST].end == END
    assert b"a secret" not in (tmp_path / "journal").read_bytes()


async def test_a_journal_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    with pytest.raises(DirectoryNotWritable, match="cannot be used"):
        await Journal(tmp_path).open()


async def test_a_directory_without_a_journal_is_an_empty_one(tmp_path: Path) -> None:
    assert await reopened(tmp_path / "new" / "executions") == {}
    assert (tmp_path / "new" / "executions" / "journal").stat().st_mode & 0o777 == 0o600


async def test_a_last_line_that_a_crash_tore_is_dropped_wherever_it_was_torn(tmp_path: Path) -> None:
    await (await journal_of(tmp_path, FIRST, SECOND)).close()
    whole = (tmp_path / "journal").read_bytes()
    last = whole.index(b"\n") + 1
    for length in range(last, len(whole)):
        (tmp_path / "journal").write_bytes(whole[:length])
        assert list(await reopened(tmp_path)) == [FIRST]
    assert not (tmp_path / "journal.damaged").exists()


def whole_life(execution_id: str) -> list[bytes]:
    """The lines of an execution from first to last."""
    records = [
        journal_records.accepted(entry(execution_id)),
        journal_records.handed(execution_id, "runner-2"),
        journal_records.started(execution_id, STARTED),
        journal_records.ended(execution_id, END),
        journal_records.forgotten(execution_id),
    ]
    return [journal_records.to_line(record) for record in records]


@pytest.mark.parametrize("rest", [b"", b"\0", b"\xff"], ids=["nothing", "zeros", "ones"])
@pytest.mark.parametrize("kept", range(5), ids=["accepted", "handed", "started", "ended", "forgotten"])
def test_a_power_loss_within_any_record_leaves_what_was_true_before_it(kept: int, rest: bytes) -> None:
    """At every byte; behind it is nothing, or what the disk had there, up to the line's end or beyond it."""
    lines = whole_life(FIRST)
    before, torn = b"".join(lines[:kept]), lines[kept]
    expected = journal_records.read(before)
    for place in range(len(torn)):
        for tail in {rest * (len(torn) - place), rest * (len(torn) - place - 1) + b"\n", rest * 4096}:
            found = journal_records.read(before + torn[:place] + tail)
            if place == len(torn) - 1 and tail == b"\n":
                continue  # that is the whole line
            assert found.entries == expected.entries
            assert list(found.forgotten) == list(expected.forgotten)


async def test_what_is_laid_down_for_later_records_says_nothing_and_goes_when_the_agent_does(tmp_path: Path) -> None:
    journal = await journal_of(tmp_path, FIRST, SECOND)
    data = (tmp_path / "journal").read_bytes()
    lines = data.rstrip(b"\0")
    assert len(data) > len(lines)
    assert (read_journal(tmp_path).damaged, read_journal(tmp_path).sound_size) == (0, len(lines))
    for number in range(300):  # more than was laid down
        await journal.accept(entry(str(number)))
    assert len(read_journal(tmp_path).entries) == 302
    await journal.close()
    assert not (tmp_path / "journal").read_bytes().endswith(b"\0")


async def test_after_a_torn_line_the_journal_goes_on(tmp_path: Path) -> None:
    await (await journal_of(tmp_path, FIRST)).close()
    with (tmp_path / "journal").open("ab") as file:
        file.write(b'0badcafe {"type":"accep')
    await (await journal_of(tmp_path, SECOND)).close()
    assert list(await reopened(tmp_path)) == [FIRST, SECOND]


@pytest.mark.parametrize("damage", [b"\0" * 40, b"\xff\xfe", b"", b"zzzzzzzz {}", b'00000000 {"type":"forgotten"}'])
async def test_a_damaged_line_costs_that_line_only_and_the_file_is_kept_aside(tmp_path: Path, damage: bytes) -> None:
    await (await journal_of(tmp_path, FIRST, SECOND, THIRD)).close()
    lines = (tmp_path / "journal").read_bytes().split(b"\n")
    lines[1] = damage
    (tmp_path / "journal").write_bytes(b"\n".join(lines))
    assert list(await reopened(tmp_path)) == [FIRST, THIRD]
    assert (tmp_path / "journal.damaged").read_bytes() == b"\n".join(lines)


async def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    await (await journal_of(tmp_path, FIRST, SECOND)).close()
    text = (tmp_path / "journal").read_bytes()
    (tmp_path / "journal").write_bytes(text.replace(b'"hi"', b'"ho"', 1))
    assert list(await reopened(tmp_path)) == [SECOND]


async def test_a_record_that_says_less_than_it_must_counts_as_damaged_and_a_new_kind_does_not(tmp_path: Path) -> None:
    await (await journal_of(tmp_path, FIRST)).close()
    odd = [{"type": "accepted", "id": SECOND}, {"id": FIRST}, {"type": "of a newer agent", "id": FIRST}]
    with (tmp_path / "journal").open("ab") as file:
        file.write(b"".join(journal_records.to_line(record) for record in odd))
    assert read_journal(tmp_path).damaged == 2
    assert list(await reopened(tmp_path)) == [FIRST]


async def test_a_journal_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    record = journal_records.accepted(entry(FIRST))
    del record["at"]
    (tmp_path / "journal").write_bytes(journal_records.to_line(record))
    assert (await reopened(tmp_path))[FIRST].request["argv"] == ["echo", "hi"]


async def test_a_file_of_noise_is_not_fatal(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(bytes(range(256)) * 100)
    assert await reopened(tmp_path) == {}
    assert (tmp_path / "journal.damaged").exists()


async def test_an_id_never_becomes_a_path(tmp_path: Path) -> None:
    ids = ["../../escaped", "/etc/passwd", "a\nb", "", "x" * 5000, "ü\0"]
    directory = tmp_path / "data" / "executions"
    await (await journal_of(directory, *ids)).close()
    assert list(await reopened(directory)) == ids
    assert [path.name for path in directory.iterdir()] == ["journal"]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


# --- on the disk ---------------------------------------------------------------------------------------------------


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files and directories that were forced to the disk, in order."""
    paths: list[Path] = []

    def recorded(sync: str) -> None:
        real = getattr(os, sync)

        def wrapper(descriptor: int) -> None:
            paths.append(Path(f"/proc/self/fd/{descriptor}").readlink())
            real(descriptor)

        monkeypatch.setattr(os, sync, wrapper)

    recorded("fsync")
    recorded("fdatasync")
    return paths


async def test_every_promise_is_on_the_disk_before_it_is_given(tmp_path: Path, synced: list[Path]) -> None:
    directory = tmp_path / "executions"
    journal = await journal_of(directory)
    assert synced == [tmp_path, directory / "journal.new", directory]
    synced.clear()
    await journal.accept(entry(FIRST))
    assert synced == [directory / "journal"]
    synced.clear()
    await journal.end(FIRST, END)
    assert synced == [directory / "journal"]
    await journal.close()


async def test_what_comes_at_once_shares_the_disk_s_time(tmp_path: Path, synced: list[Path]) -> None:
    journal = await journal_of(tmp_path)
    synced.clear()
    ids = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(100)]
    await asyncio.gather(*(journal.accept(entry(execution_id)) for execution_id in ids))
    assert len(synced) <= 2
    await journal.close()
    assert list(await reopened(tmp_path)) == ids


async def test_what_nobody_waits_for_shares_the_disk_s_time_with_what_somebody_does(
    tmp_path: Path, synced: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "_STARTED_SECONDS", 1000)
    monkeypatch.setattr(journals, "_FORGOTTEN_SECONDS", 1000)
    journal = await journal_of(tmp_path, FIRST, SECOND)
    synced.clear()
    journal.note_started(FIRST, STARTED)
    await journal.end(FIRST, END)
    journal.forget(FIRST)
    await journal.end(SECOND, END)
    assert len(synced) == 2
    journal.forget(SECOND)
    await journal.close()
    assert len(synced) == 2  # at worst its end is told once more
    assert await reopened(tmp_path) == {}


async def test_what_nobody_waits_for_is_written_a_moment_later(tmp_path: Path) -> None:
    journal = await journal_of(tmp_path, FIRST)
    journal.note_started(FIRST, STARTED)
    await eventually(lambda: read_journal(tmp_path).entries[FIRST].started == STARTED)
    await journal.close()


async def test_the_runner_that_may_have_started_it_is_on_the_disk_before_it_is_told(
    tmp_path: Path, synced: list[Path]
) -> None:
    journal = await journal_of(tmp_path, FIRST)
    synced.clear()
    await journal.hand_over(FIRST, "runner-2")
    assert synced == [tmp_path / "journal"]
    assert (await reopened(tmp_path))[FIRST].runner_instance == "runner-2"
    await journal.close()


async def test_what_was_not_handed_over_after_all_belongs_to_no_runner(tmp_path: Path) -> None:
    journal = await journal_of(tmp_path, FIRST)
    journal.note_not_handed(FIRST)
    await journal.close()
    assert (await reopened(tmp_path))[FIRST].runner_instance == ""


async def test_a_journal_that_is_not_on_disk_keeps_its_entries_and_writes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "executions", is_on_disk=False)
    await journal.open()
    await journal.accept(entry(FIRST))
    await journal.end(FIRST, END)
    assert journal.entries[FIRST].end == END
    await journal.close()
    assert not list(tmp_path.iterdir())
