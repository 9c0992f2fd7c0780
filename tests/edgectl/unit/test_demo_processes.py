"""Checks how the demo knows its processes again: a pid alone is not enough, and only its own are ever ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from edgectl.demo import processes
from edgectl.demo.processes import Process, start_ticks

NO_PID = 2**22 + 1
"""Above what the kernel hands out."""
LONG = timedelta(seconds=60)
OBEDIENT = "print('ready', flush=True); input()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); input()"
RENAMED = "open('/proc/self/comm', 'w').write(') Z 1 ('); print('ready', flush=True); input()"

SAYS_WHAT_IT_GOT = """
import json, os, sys
open(sys.argv[1]).read()
print(json.dumps([sys.argv[1:], dict(os.environ), os.getsid(0) == os.getpid()]))
"""


@contextmanager
def child(program: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has come to its `input()`, which never gets anything."""
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        try:
            assert running.stdout.readline() == b"ready\n"
            yield running
        finally:
            running.kill()


def known(running: subprocess.Popen[bytes]) -> Process:
    return Process(pid=running.pid, start_ticks=start_ticks(running.pid))


def test_our_own_process_has_a_start_time_that_stays() -> None:
    assert start_ticks(os.getpid()) > 0
    assert start_ticks(os.getpid()) == start_ticks(os.getpid())
    assert start_ticks(os.getpid()) >= start_ticks(os.getppid())


def test_a_process_that_is_not_there_has_none() -> None:
    assert start_ticks(NO_PID) == 0
    assert not Process(pid=NO_PID, start_ticks=0).is_running


def test_this_very_process_is_running_and_one_that_had_its_pid_before_is_not() -> None:
    ticks = start_ticks(os.getpid())
    assert Process(pid=os.getpid(), start_ticks=ticks).is_running
    assert not Process(pid=os.getpid(), start_ticks=ticks - 1).is_running
    assert not Process(pid=os.getpid(), start_ticks=0).is_running


def test_a_name_full_of_brackets_and_blanks_does_not_confuse() -> None:
    with child(RENAMED) as running:
        assert Path(f"/proc/{running.pid}/comm").read_text() == ") Z 1 (\n"
        assert start_ticks(running.pid) >= start_ticks(os.getpid())


def test_a_process_of_which_only_the_exit_status_is_left_is_not_running() -> None:
    with child(OBEDIENT) as running:
        process = known(running)
        assert process.is_running
        running.kill()
        os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)
        assert not process.is_running
        assert start_ticks(running.pid) == 0


def test_a_process_is_asked_to_end_and_gone_when_stop_returns() -> None:
    with child(OBEDIENT) as running:
        process = known(running)
        processes.stop([process], grace=LONG)
        assert not process.is_running
        assert running.wait() == -signal.SIGTERM


def test_a_process_that_does_not_listen_is_killed() -> None:
    with child(STUBBORN) as running:
        process = known(running)
        processes.stop([process], grace=timedelta(0))
        assert not process.is_running
        assert running.wait() == -signal.SIGKILL


def test_a_process_that_only_has_the_pid_is_left_alone() -> None:
    with child(OBEDIENT) as running:
        namesake = Process(pid=running.pid, start_ticks=start_ticks(running.pid) - 1)
        processes.stop([namesake, Process(pid=NO_PID, start_ticks=1)], grace=LONG)
        assert running.poll() is None


def test_a_started_program_gets_its_settings_and_writes_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "says_what_it_got.py").write_text(SAYS_WHAT_IT_GOT)
    go, log = tmp_path / "go", tmp_path / "log"
    os.mkfifo(go)
    log.write_text("before\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("EDGECTL_TOKEN", "secret")

    process = processes.start("says_what_it_got", [str(go), "edge01"], environ={"AGENT_DIR": "/a"}, log=log)
    assert process.is_running
    go.write_text("go")
    os.waitpid(process.pid, 0)

    before, said = log.read_text().splitlines()
    arguments, environment, is_session_leader = json.loads(said)
    assert before == "before"
    assert arguments == [str(go), "edge01"]
    assert environment["AGENT_DIR"] == "/a"
    assert environment["PATH"] == os.environ["PATH"]
    assert "EDGECTL_TOKEN" not in environment
    assert is_session_leader
    assert not process.is_running
