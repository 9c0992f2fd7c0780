"""`edge-agent status`: what the operator reads about an agent that runs, has stopped, or never was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_agent import identity as identities
from edge_agent.status import StatusFile, collect_status, render
from tests.edge_agent.test_identity import IDENTITY
from tests.edge_agent.test_journal import END, FIRST, SECOND, STARTED, THIRD, journal_of

EMPTY = "commands  0 waiting, 0 running, 0 unacknowledged", "journal   0.0 of 64 MiB, at most 10000 commands"


@contextmanager
def running(data_dir: Path) -> Iterator[StatusFile]:
    """What an agent holds while it runs."""
    lock = identities.lock_data_dir(data_dir)
    try:
        yield StatusFile(data_dir)
    finally:
        os.close(lock)


def test_a_connected_node_is_told_in_a_few_lines(tmp_path: Path) -> None:
    identities.save_identity(tmp_path, IDENTITY)
    with running(tmp_path) as file:
        file.write(state="connected", error="", admin_url="https://one.example:44100")
        status = collect_status(tmp_path)
    assert (status["running"], status["enrolled"]) == (True, True)
    assert status["session"]["admin_url"] == "https://one.example:44100"
    assert render(status).splitlines() == [
        f"node      gate-7 in ports ({IDENTITY.node_id})",
        f"agent     running, data in {tmp_path}",
        f"session   connected since {status['session']['since']}",
        "admins    https://one.example:44100, https://two.example:44100",
        *EMPTY,
    ]


async def test_the_journal_is_shown_whether_or_not_an_agent_runs(tmp_path: Path) -> None:
    journal = await journal_of(tmp_path / "executions", FIRST, SECOND, THIRD)
    journal.note_started(FIRST, STARTED)
    journal.note_started(SECOND, STARTED)
    await journal.end(SECOND, END)
    with running(tmp_path):
        while_it_runs = collect_status(tmp_path)
    await journal.close()
    before = (tmp_path / "executions" / "journal").read_bytes()
    status = collect_status(tmp_path)
    assert status["journal"] == while_it_runs["journal"]
    assert status["journal"] == {
        "waiting": 1,
        "running": 1,
        "unacknowledged": 1,
        "executions_limit": 10_000,
        "bytes": sum(found.size for found in journal.entries.values()),
        "bytes_limit": 64 * 1024 * 1024,
        "oldest": "2026-03-01T12:00:00+00:00",
        "damaged_lines": 0,
    }
    line = "commands  1 waiting, 1 running, 1 unacknowledged; oldest from 2026-03-01T12:00:00+00:00"
    assert line in render(status).splitlines()
    assert (tmp_path / "executions" / "journal").read_bytes() == before


def test_a_journal_that_is_damaged_or_not_to_be_read_is_a_problem_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "executions").mkdir()
    journal = tmp_path / "executions" / "journal"
    journal.write_bytes(b"noise\n")
    assert "problem   1 damaged lines in the journal" in render(collect_status(tmp_path)).splitlines()
    assert [path.name for path in journal.parent.iterdir()] == ["journal"]
    journal.unlink()
    journal.mkdir()
    assert (
        f"journal   {journal.parent} cannot be read (Is a directory)" in render(collect_status(tmp_path)).splitlines()
    )


def test_a_problem_is_told_while_the_agent_runs(tmp_path: Path) -> None:
    with running(tmp_path) as file:
        file.write(state="connecting", error="unavailable: no route to one.example")
        lines = render(collect_status(tmp_path)).splitlines()
    assert "problem   unavailable: no route to one.example" in lines
    assert "node      not enrolled" in lines


def test_what_is_still_so_began_when_it_was_first_said(tmp_path: Path) -> None:
    with running(tmp_path) as file:
        file.write(state="connecting", error="unavailable: refused")
        path = tmp_path / "status.json"
        first = {**json.loads(path.read_text()), "since": "2026-01-01T00:00:00+00:00"}
        path.write_text(json.dumps(first))
        file.write(state="connecting", error="unavailable: refused")
        assert collect_status(tmp_path)["session"] == first
        file.write(state="connecting", error="unavailable: timed out")
        assert collect_status(tmp_path)["session"]["error"] == "unavailable: timed out"


def test_an_agent_that_was_killed_is_not_called_connected(tmp_path: Path) -> None:
    with running(tmp_path) as file:
        file.write(state="connected", error="")
    status = collect_status(tmp_path)
    assert (status["running"], status["session"]["state"]) == (False, "stopped")
    assert "agent     not running" in render(status)


def test_a_machine_without_an_agent_has_a_status_too(tmp_path: Path) -> None:
    status = collect_status(tmp_path / "nothing")
    assert (status["enrolled"], status["running"], status["runner"]) == (False, False, {})
    assert render(status).splitlines() == [
        "node      not enrolled",
        f"agent     not running, data in {tmp_path / 'nothing'}",
        "session   never started",
        "admins    none known",
        *EMPTY,
    ]
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("text", [b"", b'{"state": "conn', b"\xff", b"[]"])
def test_a_damaged_status_file_is_as_good_as_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "status.json").write_bytes(text)
    assert collect_status(tmp_path)["session"] == {"state": "stopped"}


def test_asking_leaves_the_directory_to_the_agent(tmp_path: Path) -> None:
    with running(tmp_path):
        assert collect_status(tmp_path)["running"]
    assert not collect_status(tmp_path)["running"]
    with running(tmp_path):
        pass


def test_a_status_holds_no_secret(tmp_path: Path) -> None:
    keys = identities.load_or_make_keys(tmp_path)
    identities.save_identity(tmp_path, IDENTITY)
    assert keys.token not in str(collect_status(tmp_path))
