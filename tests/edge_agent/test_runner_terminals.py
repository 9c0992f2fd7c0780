"""Programs on a terminal of their own in a real runner: what somebody who sits at one expects of it."""

from __future__ import annotations

import base64
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_agent.runner.terminal import as_size
from tests.edge_agent.processes import Agent, Runner, is_alive, new_id
from tests.support.eventually import eventually

TERMINAL = {"columns": 90, "rows": 30, "kind": "xterm"}
BASH = ["bash", "--norc", "--noprofile", "-i"]
JOB = """sh -c 'echo jo"b"; exec sleep 1000'\n"""
"""Says `job` when it runs, and only then."""
FORGETFUL = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
print("ready", flush=True)
signal.sigwait([signal.SIGHUP])
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
time.sleep(0.1)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
time.sleep(1000)
"""


def on_terminal(agent: Agent, *argv: str, **options: Any) -> str:
    return agent.start(*argv, **{"terminal": TERMINAL, **options})


def in_shell(agent: Agent, text: str, **options: Any) -> str:
    return on_terminal(agent, "sh", "-c", text, **options)


# --- the terminal itself -------------------------------------------------------------------------------------------


def test_all_of_a_program_is_on_its_terminal_and_all_it_writes_is_stdout(agent: Agent) -> None:
    end = agent.take_end(in_shell(agent, "tty <&0; tty <&1; tty <&2; echo err >&2; echo direct >/dev/tty"))
    first, second, third, *rest = end.stdout.split()
    assert first.startswith(b"/dev/pts/")
    assert first == second == third
    assert (rest, end.stderr, end.fields["stderr_bytes"]) == ([b"err", b"direct"], b"", 0)


def test_a_terminal_is_the_controlling_one_of_the_program_and_of_nobody_else(agent: Agent) -> None:
    fields = "cut -d' ' -f1,5,6,7,8 /proc/$$/stat"
    first, second = (agent.take_end(in_shell(agent, fields)).stdout.split() for _ in range(2))
    pid, group, session, device, foreground = first
    assert pid == group == session == foreground
    assert device != b"0"
    assert pid != second[0]


def test_a_terminal_has_its_size_and_kind_before_the_program_starts(agent: Agent) -> None:
    end = agent.take_end(in_shell(agent, 'stty size; echo "$TERM"'))
    assert end.stdout.split() == [b"30", b"90", b"xterm"]


def test_a_kind_that_is_asked_for_by_name_wins_and_one_that_is_not_known_is_dumb(agent: Agent) -> None:
    asked = in_shell(agent, 'echo "$TERM"', environment={"TERM": "vt100"})
    assert agent.take_end(asked).stdout == b"vt100\r\n"
    unknown = in_shell(agent, 'echo "$TERM"', terminal={**TERMINAL, "kind": ""})
    assert agent.take_end(unknown).stdout == b"dumb\r\n"


def test_a_terminal_adds_nothing_to_the_environment_but_its_kind(agent: Agent) -> None:
    of_its_own = (b"EDGE_EXECUTION_ID=", b"TERM=", b"COLUMNS=", b"LINES=")

    def variables(execution_id: str) -> set[bytes]:
        seen = agent.take_end(execution_id).stdout.split(b"\0")
        return {variable for variable in seen if not variable.startswith(of_its_own)}

    environment = {"dotted.name": "1", "LANG": "", "LC_ALL": ""}
    with_terminal = variables(on_terminal(agent, "env", "-0", environment=environment))
    assert with_terminal == variables(agent.start("env", "-0", environment=environment))
    assert b"dotted.name=1" in with_terminal


def test_a_program_on_a_terminal_has_no_other_files_and_no_signal_ignored_or_blocked(agent: Agent) -> None:
    files = "for file in $(seq 0 20); do test -e /proc/$$/fd/$file && echo $file; done"
    assert agent.take_end(in_shell(agent, files)).stdout.split() == [b"0", b"1", b"2"]
    end = agent.take_end(on_terminal(agent, "grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"))
    assert end.stdout.split()[1::2] == [b"0000000000000000"] * 2


@pytest.mark.parametrize("kind", ["resize", "start"])
@pytest.mark.parametrize(
    ("columns", "rows", "expected"),
    [(120, 40, (120, 40)), (1, 1, (1, 1)), (65_535, 65_536, (65_535, 65_535)), (0, 40, None), (-1, 40, None)],
)
def test_a_terminal_takes_any_size_that_it_can_have(
    agent: Agent, kind: str, columns: int, rows: int, expected: tuple[int, int] | None
) -> None:
    size = {"columns": columns, "rows": rows}
    if kind == "start":
        execution_id = in_shell(agent, "read go; stty size", terminal={**size, "kind": ""})
        columns, rows = expected or (80, 24)
    else:
        execution_id = in_shell(agent, "read go; stty size")
        agent.send("resize", id=execution_id, **size)
        columns, rows = expected or (90, 30)
    agent.type(execution_id, "go\n")
    assert agent.take_end(execution_id).stdout.split()[1:] == [str(rows).encode(), str(columns).encode()]


@pytest.mark.parametrize(
    ("columns", "rows", "size"),
    [(80, 24, (80, 24)), (2**40, 7, (65_535, 7)), (0, 0, None), (80, -3, None)],
)
def test_sizes_are_cut_to_what_a_terminal_can_have(columns: int, rows: int, size: tuple[int, int] | None) -> None:
    assert as_size(columns, rows) == size


def test_a_program_is_told_when_its_terminal_changes_its_size(agent: Agent) -> None:
    execution_id = in_shell(agent, "trap 'stty size' WINCH; echo ready; while :; do sleep 0.02; done")
    agent.read_until(execution_id, b"ready")
    agent.send("resize", id=execution_id, columns=101, rows=31)
    agent.read_until(execution_id, b"31 101")


def test_a_resize_without_a_terminal_or_after_the_end_is_void(agent: Agent) -> None:
    without = agent.start("sleep", "1000")
    over = on_terminal(agent, "true")
    agent.take("ended", over)
    for execution_id in (without, over, new_id()):
        agent.send("resize", id=execution_id, columns=120, rows=40)
    assert agent.run("echo", "hi").stdout == b"hi\n"


# --- what is typed -------------------------------------------------------------------------------------------------


def test_what_is_typed_is_echoed_and_read_by_the_line(agent: Agent) -> None:
    execution_id = in_shell(agent, 'read line; echo "got $line"')
    agent.type(execution_id, "hellp\x7fo\r")
    assert agent.take_end(execution_id).stdout == b"hellp\b \bo\r\ngot hello\r\n"


def test_a_program_that_turns_the_echo_off_is_not_told_on(agent: Agent) -> None:
    execution_id = in_shell(agent, 'stty -echo; echo "password:"; read word; stty echo; echo "length ${#word}"')
    agent.read_until(execution_id, b"password:\r\n")
    agent.type(execution_id, "secret\n")
    assert agent.take_end(execution_id).stdout == b"length 6\r\n"


def test_wide_characters_are_erased_as_one(agent: Agent) -> None:
    execution_id = in_shell(agent, 'read line; echo "got $line"')
    agent.type(execution_id, "ü\x7fx\n")
    assert agent.take_end(execution_id).stdout.endswith(b"got x\r\n")


def test_ctrl_c_ends_what_runs_in_front(agent: Agent) -> None:
    execution_id = in_shell(agent, "echo ready; exec sleep 1000")
    agent.read_until(execution_id, b"ready")
    agent.type(execution_id, "\x03")
    assert agent.take_end(execution_id).fields["signal"] == "SIGINT"


def test_the_end_of_what_is_brought_is_typed_as_the_end_of_a_file(agent: Agent) -> None:
    execution_id = on_terminal(agent, "cat")
    agent.bring(execution_id, b"hello\n", is_last=True)
    end = agent.take_end(execution_id)
    assert (end.fields["exit_code"], end.stdout.count(b"hello\r\n")) == (0, 2)


def test_the_end_of_a_file_is_typed_as_the_program_wants_it(agent: Agent) -> None:
    execution_id = in_shell(agent, "stty eof ^X; echo ready; cat")
    agent.read_until(execution_id, b"ready\r\n")
    agent.bring(execution_id, b"hello\n", is_last=True)
    assert agent.take_end(execution_id).fields["exit_code"] == 0


def test_a_raw_terminal_carries_any_byte_in_both_directions(agent: Agent) -> None:
    data = bytes(range(256)) * 1024
    execution_id = in_shell(agent, f"stty raw -echo; echo ready; head -c {len(data)}")
    agent.read_until(execution_id, b"ready\n")
    offset = 0
    while offset < len(data):
        wanted, limit = agent.take_wanted(execution_id, lambda offset, limit: limit > offset)
        agent.bring(execution_id, data[wanted:limit], offset=wanted)
        offset = max(offset, min(limit, len(data)))
    text = b""
    while len(text) < len(data):
        text += agent.take("output", execution_id).payload
    assert text == data


def test_a_shell_stops_continues_and_lists_its_jobs(agent: Agent) -> None:
    execution_id = on_terminal(agent, *BASH, environment={"PS1": "$ "})
    agent.type(execution_id, JOB)
    agent.read_until(execution_id, b"job\r\n")
    agent.type(execution_id, "\x1a")
    agent.read_until(execution_id, b"Stopped")
    agent.type(execution_id, "bg\njobs\n")
    agent.read_until(execution_id, b"Running")
    agent.type(execution_id, "fg\n")
    agent.read_until(execution_id, b"fg")
    agent.type(execution_id, "\x03")
    agent.type(execution_id, "echo $((130 + $? - 130))\nexit 5\n")
    agent.read_until(execution_id, b"130\r\n")
    assert agent.take_end(execution_id).fields["exit_code"] == 5


@pytest.mark.skipif(shutil.which("vim") is None, reason="vim is not installed")
def test_an_editor_works(agent: Agent, tmp_path: Path) -> None:
    file = tmp_path / "file"
    execution_id = on_terminal(agent, "vim", "-u", "NONE", "-i", "NONE", "-n", str(file))
    agent.read_until(execution_id, b"~")
    agent.type(execution_id, "ihello there\x1b:wq\r")
    assert agent.take_end(execution_id).fields["exit_code"] == 0
    assert file.read_text() == "hello there\n"


@pytest.mark.skipif(shutil.which("top") is None, reason="top is not installed")
def test_a_program_that_redraws_its_screen_works(agent: Agent) -> None:
    execution_id = on_terminal(agent, "top", "-d", "0.1")
    agent.read_until(execution_id, b"load average")
    agent.send("resize", id=execution_id, columns=60, rows=20)
    agent.read_until(execution_id, b"load average")
    agent.type(execution_id, "q")
    assert agent.take_end(execution_id).fields["exit_code"] == 0


# --- output --------------------------------------------------------------------------------------------------------


def test_the_last_output_of_a_program_is_never_lost(agent: Agent) -> None:
    for number in range(30):
        assert agent.take_end(in_shell(agent, f"seq 2000; echo last {number}")).stdout.endswith(b"last %d\r\n" % number)


def test_output_of_a_terminal_has_no_gaps(agent: Agent) -> None:
    execution_id = in_shell(agent, "stty -onlcr; seq 100000", credit=1000)
    for total in range(0, 700_000, 5_000):
        agent.send("credit", id=execution_id, total=total)
    end = agent.take_end(execution_id)
    assert end.stdout == b"".join(b"%d\n" % number for number in range(1, 100_001))
    assert (end.gaps, end.truncated) == ([], False)


async def test_a_program_writes_little_ahead_of_what_somebody_looks_at(agent: Agent) -> None:
    execution_id = on_terminal(agent, "yes", credit=1000)
    pid = agent.take("started", execution_id).fields["pid"]
    agent.take("output", execution_id)
    agent.type(execution_id, "\x03")
    await eventually(lambda: not is_alive(pid))
    agent.send("credit", id=execution_id, total=100_000_000)
    end = agent.take_end(execution_id).fields
    assert end["signal"] == "SIGINT"
    assert end["stdout_bytes"] < 200_000


async def test_a_program_goes_on_while_nobody_looks(agent: Agent, runner: Runner, tmp_path: Path) -> None:
    execution_id = in_shell(agent, f"seq 20000; touch {tmp_path / 'done'}; sleep 1000", credit=0)
    agent.take("started", execution_id)
    agent.close()
    await eventually((tmp_path / "done").exists, what="a program that could write 100 KB")


# --- its end -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("argv", [BASH, ["sh", "-c", "sleep 1000; true"]])
def test_a_stop_closes_the_terminal_even_for_shells_that_ignore_sigterm(agent: Agent, argv: list[str]) -> None:
    execution_id = on_terminal(agent, *argv)
    agent.type(execution_id, "echo rea''dy\n")
    agent.read_until(execution_id, b"dy")
    agent.send("stop", id=execution_id, kill_after=60.0)
    end = agent.take_end(execution_id).fields
    assert (end["stop_reason"], end["signal"]) == ("cancelled", "SIGHUP")


def test_a_shell_that_forgets_the_first_hang_up_hears_a_second_one(agent: Agent) -> None:
    execution_id = on_terminal(agent, sys.executable, "-c", FORGETFUL)
    agent.read_until(execution_id, b"ready")
    agent.send("stop", id=execution_id, kill_after=60.0)
    end = agent.take_end(execution_id).fields
    assert (end["stop_reason"], end["signal"]) == ("cancelled", "SIGHUP")


async def test_a_program_that_ignores_everything_is_killed_with_its_jobs(agent: Agent, runner: Runner) -> None:
    execution_id = in_shell(agent, "trap '' HUP TERM; echo ready; sleep 1000 & sleep 1000")
    agent.read_until(execution_id, b"ready")
    agent.send("stop", id=execution_id, kill_after=0.2)
    end = agent.take_end(execution_id).fields
    assert (end["stop_reason"], end["signal"]) == ("cancelled", "SIGKILL")
    await eventually(lambda: runner.marked() == [])


async def test_a_stop_ends_jobs_that_are_stopped_themselves(agent: Agent, runner: Runner) -> None:
    execution_id = on_terminal(agent, *BASH)
    agent.type(execution_id, JOB)
    agent.read_until(execution_id, b"job\r\n")
    agent.type(execution_id, "\x1a")
    agent.read_until(execution_id, b"Stopped")
    agent.send("stop", id=execution_id, kill_after=5.0)
    agent.take_end(execution_id)
    await eventually(lambda: runner.marked() == [])


def test_a_time_limit_holds_on_a_terminal(agent: Agent) -> None:
    end = agent.take_end(on_terminal(agent, *BASH, timeout=0.3, kill_after=60.0)).fields
    assert end["stop_reason"] == "timed_out"


def test_what_was_left_in_the_background_does_not_hold_up_the_end(agent: Agent) -> None:
    end = agent.take_end(in_shell(agent, "trap '' HUP; sleep 1000 & echo hi; exit 3"))
    assert (end.fields["exit_code"], end.stdout) == (3, b"hi\r\n")


def test_a_program_that_is_missing_never_starts(agent: Agent) -> None:
    end = agent.take_end(on_terminal(agent, "no-such-program")).fields
    assert (end["started"], end["exit_code"], end["error_code"]) == (False, 127, "program_not_found")
    assert "no-such-program" in end["error_message"]


def test_a_file_that_cannot_be_executed_never_starts(agent: Agent, tmp_path: Path) -> None:
    end = agent.take_end(on_terminal(agent, str(tmp_path))).fields
    assert (end["started"], end["exit_code"], end["error_code"]) == (False, 126, "program_not_executable")


def test_a_directory_that_is_none_never_starts(agent: Agent) -> None:
    end = agent.take_end(on_terminal(agent, "pwd", working_directory="/no/such")).fields
    assert (end["started"], end["error_code"]) == (False, "working_directory_not_found")


def test_a_script_runs_on_a_terminal(agent: Agent) -> None:
    script = base64.b64encode(b'#!/bin/bash\nread -p "name? " name; echo "hi $name from $1"\n').decode()
    execution_id = on_terminal(agent, "edge01", script=script)
    agent.read_until(execution_id, b"name? ")
    agent.type(execution_id, "ann\n")
    assert agent.take_end(execution_id).stdout.endswith(b"hi ann from edge01\r\n")


@pytest.mark.root
def test_a_terminal_belongs_to_the_account_that_sits_at_it(agent: Agent) -> None:
    end = agent.take_end(in_shell(agent, 'id -un; stat -c %U "$(tty)"; echo mine >"$(tty)"', user="nobody"))
    assert end.stdout.split() == [b"nobody", b"nobody", b"mine"]


# --- agents come and go --------------------------------------------------------------------------------------------


async def test_a_terminal_outlives_its_agent(agent: Agent, runner: Runner) -> None:
    execution_id = in_shell(agent, 'echo ready; read a; read b; stty size; echo "got $a $b"')
    agent.read_until(execution_id, b"ready\r\n")
    agent.type(execution_id, "one\n")
    agent.take_wanted(execution_id, lambda offset, _: offset == 4)
    agent.close()
    following = await runner.connect()
    following.resume(execution_id)
    offset, _ = following.take_wanted(execution_id)
    following.send("resize", id=execution_id, columns=66, rows=22)
    following.bring(execution_id, b"two\n", offset=offset)
    assert following.take_end(execution_id).stdout.endswith(b"22 66\r\ngot one two\r\n")


async def test_a_size_that_an_agent_started_with_is_not_the_terminal_s(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "7")
    monkeypatch.setenv("LINES", "7")
    runner.launch()
    agent = await runner.connect()
    assert agent.take_end(in_shell(agent, "stty size; env | grep -E '^(COLUMNS|LINES)='")).stdout == b"30 90\r\n"


async def test_a_killed_runner_closes_its_terminals(agent: Agent, runner: Runner) -> None:
    execution_id = on_terminal(agent, *BASH)
    agent.type(execution_id, "echo rea''dy\n")
    agent.read_until(execution_id, b"ready\r\n")
    runner.process.send_signal(signal.SIGKILL)
    await eventually(lambda: runner.marked() == [], what="the end of a shell whose terminal is gone")
