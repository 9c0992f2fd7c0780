"""Checks group commit on both databases: many transitions, few transactions, and told only after the commit."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
from sqlalchemy import Connection, Engine, event

from edge_server.commands import recorder as recorders
from edge_server.commands import repository
from edge_server.commands.domain import Event, Outcome, State
from edge_server.commands.recorder import Recorder
from edge_server.commands.storing import Stored
from edge_server.db.database import Database
from tests.edge_server.command_rows import add_command, happened, is_finished, reported, sent, standing, started
from tests.edge_server.fleet import NOON, WallClock
from tests.support.eventually import eventually
from tests.support.postgres import PostgresServer

PENDING, SENT, ENDED = State.PENDING, State.SENT, State.ENDED


class Commits:
    """Counts the transactions of a database that wrote."""

    def __init__(self) -> None:
        self.count = 0
        self._is_writing = False

    def executed(self, *arguments: object) -> None:
        self._is_writing = self._is_writing or str(arguments[2]).startswith(("UPDATE", "INSERT"))

    def committed(self, connection: Connection) -> None:
        self.count += self._is_writing
        self._is_writing = False


@pytest.fixture
def commits(engine: Engine) -> Iterator[Commits]:
    commits = Commits()
    event.listen(engine, "after_cursor_execute", commits.executed)
    event.listen(engine, "commit", commits.committed)
    yield commits
    event.remove(engine, "after_cursor_execute", commits.executed)
    event.remove(engine, "commit", commits.committed)


@pytest.fixture
async def recorder(db: Database) -> AsyncIterator[Recorder]:
    """Not started yet."""
    await db.write(lambda tx: add_command(tx, "c1", *["oslo"] * 300))
    recorder = Recorder(db=db, now=WallClock())
    yield recorder
    await recorder.stop()


Told = list[tuple[str, State | None]]


def submit(recorder: Recorder, told: Told, *names: str) -> None:
    """Hand these executions out."""
    for name in names:
        recorder.submit(sent(name), partial(_note, told, name))


def _note(told: Told, name: str, stored: Stored) -> None:
    told.append((name, stored.state))


async def test_what_waits_shares_one_transaction(recorder: Recorder, db: Database, commits: Commits) -> None:
    told: Told = []
    names = [f"c1-{place}" for place in range(300)]
    commits.count = 0
    submit(recorder, told, *names)
    assert (told, commits.count) == ([], 0)
    recorder.start()
    await eventually(lambda: len(told) == 300)
    assert commits.count == 1
    assert told == [(name, SENT) for name in names]
    assert set(await standing(db, "c1")) == {(SENT, None)}


@pytest.fixture
def resting(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crowd the next transaction waits until the end of the test."""
    monkeypatch.setattr(recorders, "_REST", 1e9)
    monkeypatch.setattr(recorders, "_LONGEST_REST_SECONDS", 1000.0)


@pytest.mark.usefixtures("resting")
async def test_after_a_crowd_what_comes_waits_for_company_unless_none_comes(recorder: Recorder, db: Database) -> None:
    told: Told = []
    recorder.start()
    submit(recorder, told, *(f"c1-{place}" for place in range(10)))
    await eventually(lambda: len(told) == 10)
    submit(recorder, told, "c1-10")
    await db.write(lambda tx: None)  # the transaction would have been before this one
    assert len(told) == 10
    recorder.hurry()
    await eventually(lambda: len(told) == 11)


@pytest.mark.usefixtures("resting")
async def test_who_says_while_a_crowd_is_written_that_no_company_comes_is_heard(recorder: Recorder) -> None:
    told: Told = []
    submit(recorder, told, *(f"c1-{place}" for place in range(10)))
    recorder.submit(sent("c1-10"), lambda _: recorder.hurry())
    recorder.start()
    await eventually(lambda: len(told) == 10)
    submit(recorder, told, "c1-11")
    await eventually(lambda: len(told) == 11)


async def test_whoever_waits_is_told_after_the_commit(recorder: Recorder, commits: Commits) -> None:
    commits_when_told: list[int] = []
    commits.count = 0
    recorder.submit(sent("c1-0"), lambda _: commits_when_told.append(commits.count))
    recorder.start()
    await eventually(lambda: commits_when_told)
    assert commits_when_told == [1]


async def test_what_was_cancelled_meanwhile_is_told_that_it_is_not_sent(recorder: Recorder, db: Database) -> None:
    told: Told = []
    await db.write(lambda tx: repository.withhold_pending(tx, "c1", NOON))
    submit(recorder, told, "c1-0")
    recorder.start()
    await eventually(lambda: told)
    assert told == [("c1-0", ENDED)]


async def test_whoever_comes_second_is_told_how_it_ended(recorder: Recorder, db: Database) -> None:
    told: list[Stored] = []
    recorder.submit(reported("c1-0"), told.append)
    recorder.start()
    await eventually(lambda: told)
    for transition in (started("c1-0"), reported("c1-0", Outcome.FAILED)):
        recorder.submit(transition, told.append)
    await eventually(lambda: len(told) == 3)
    assert [stored.other_end and stored.other_end.outcome for stored in told] == [None, Outcome.OK, Outcome.OK]
    assert (await standing(db, "c1"))[0] == (ENDED, Outcome.OK)


async def test_stopping_writes_what_waits(recorder: Recorder, db: Database) -> None:
    recorder.start()
    for place in range(300):
        recorder.submit(reported(f"c1-{place}"), lambda _: None)
    await recorder.stop()
    assert set(await standing(db, "c1")) == {(ENDED, Outcome.OK)}
    assert await is_finished(db, "c1")


async def test_a_transition_that_cannot_be_written_holds_back_no_other(
    recorder: Recorder, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    told: Told = []
    submit(recorder, told, "c1-0")
    recorder.submit(happened(Event.REPORT, "c1-1", outcome="no such word"), partial(_note, told, "c1-1"))
    submit(recorder, told, "c1-2")
    recorder.start()
    await eventually(lambda: len(told) == 2)
    submit(recorder, told, "c1-3")
    await eventually(lambda: len(told) == 3)
    assert told == [("c1-0", SENT), ("c1-2", SENT), ("c1-3", SENT)]
    assert [state for state, _ in await standing(db, "c1")][:4] == [SENT, PENDING, SENT, SENT]
    assert "a transition cannot be written" in caplog.text


@pytest.mark.postgres
async def test_while_the_database_is_away_everything_waits_in_order(
    recorder: Recorder, db: Database, postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    told: Told = []
    caplog.set_level(logging.DEBUG, "edge_server.commands.recorder")
    recorder.start()
    postgres_server.stop()
    submit(recorder, told, "c1-0", "c1-1")
    await eventually(lambda: "results wait for the database" in caplog.text)
    submit(recorder, told, "c1-2")
    assert told == []
    postgres_server.start()
    await eventually(lambda: len(told) == 3)
    assert [name for name, _ in told] == ["c1-0", "c1-1", "c1-2"]
    assert [state for state, _ in await standing(db, "c1")][:3] == [SENT] * 3


@pytest.mark.postgres
async def test_stopping_does_not_wait_for_a_database_that_is_away(
    recorder: Recorder, postgres_server: PostgresServer
) -> None:
    told: Told = []
    recorder.start()
    postgres_server.stop()
    submit(recorder, told, "c1-0")
    await recorder.stop()
    assert told == []
