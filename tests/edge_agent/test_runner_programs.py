"""Programs in a real runner: what they are given, what is kept of what they say, and how their end is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edge_agent.processes import Agent

SEQUENCE = b"".join(b"%d\n" % number for number in range(1, 40_001))
"""What `seq 40000` prints: 228 KB, nearly all that a spool of 256 KiB keeps of one stream."""


def test_the_two_outputs_stay_apart(agent: Agent) -> None:
    end = agent.run("sh", "-c", "echo to out; echo to err >&2")
    assert (end.stdout, end.stderr) == (b"to out\n", b"to err\n")
    assert (end.fields["stdout_bytes"], end.fields["stderr_bytes"]) == (7, 7)
    assert not end.truncated


@pytest.mark.parametrize("code", [0, 1, 127, 255])
def test_the_exit_code_is_told(agent: Agent, code: int) -> None:
    end = agent.run("sh", "-c", f"exit {code}")
    assert (end.fields["exit_code"], end.fields["signal"], end.fields["stop_reason"]) == (code, "", "")
    assert (end.fields["started"], end.fields["held_open"]) == (True, False)
    assert 0 <= end.fields["duration"] < 20


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGSEGV"])
def test_a_signal_that_ended_it_is_told_by_name_and_without_an_exit_code(agent: Agent, name: str) -> None:
    end = agent.run("sh", "-c", f"kill -{name.removeprefix('SIG')} $$")
    assert (end.fields["exit_code"], end.fields["signal"], end.fields["stop_reason"]) == (None, name, "")


def test_a_missing_program_never_starts_and_ends_like_in_a_shell(agent: Agent) -> None:
    end = agent.run("no-such-program", "--help")
    assert (end.fields["started"], end.fields["exit_code"]) == (False, 127)
    assert end.fields["error_code"] == "program_not_found"
    assert "no-such-program" in end.fields["error_message"]


@pytest.mark.parametrize("text", ["#!/bin/sh\necho hi\n", "no program at all"])
def test_a_file_without_execute_permission_never_starts(agent: Agent, tmp_path: Path, text: str) -> None:
    program = tmp_path / "program"
    program.write_text(text)
    program.chmod(0o644)
    end = agent.run(str(program))
    assert (end.fields["started"], end.fields["exit_code"]) == (False, 126)
    assert end.fields["error_code"] == "program_not_executable"


def test_an_executable_file_of_no_known_format_never_starts(agent: Agent, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("no program at all")
    program.chmod(0o755)
    assert agent.run(str(program)).fields["error_code"] == "program_not_executable"


def test_an_argument_larger_than_the_kernel_takes_is_named_as_such(agent: Agent) -> None:
    end = agent.run("true", "x" * 200_000)
    assert (end.fields["started"], end.fields["error_code"]) == (False, "argv_too_large")


def test_arguments_arrive_as_they_are(agent: Agent) -> None:
    arguments = ["", " a  b ", "$HOME", "*", "'\"\\", "ü€😀", "two\nlines"]
    end = agent.run("printf", r"%s\0", *arguments)
    assert end.stdout.decode().split("\0") == [*arguments, ""]


def test_a_program_finds_an_empty_input_and_its_own_id(agent: Agent) -> None:
    execution_id = agent.start("sh", "-c", 'cat; echo "$EDGE_EXECUTION_ID"')
    assert agent.take_end(execution_id).stdout.decode() == f"{execution_id}\n"


def test_a_program_leads_a_session_and_group_of_its_own(agent: Agent) -> None:
    end = agent.run("sh", "-c", "cut -d' ' -f1,5,6 /proc/$$/stat")
    pid, group, session = end.stdout.split()
    assert pid == group == session


def test_a_program_starts_with_no_signal_ignored(agent: Agent) -> None:
    end = agent.run("grep", "SigIgn", "/proc/self/status")
    assert end.stdout.split() == [b"SigIgn:", b"0000000000000000"]


def test_a_program_finds_no_open_files_of_the_runner(agent: Agent) -> None:
    end = agent.run("sh", "-c", "for file in $(seq 0 20); do test -e /proc/$$/fd/$file && echo $file; done")
    assert end.stdout.split() == [b"0", b"1", b"2"]


def test_many_programs_at_once_do_not_mix(agent: Agent) -> None:
    ids = [agent.start("sh", "-c", f"echo {number}; exit {number}") for number in range(30)]
    ends = [agent.take("ended", execution_id).fields["exit_code"] for execution_id in ids]
    outputs = [agent.take("output", execution_id).payload for execution_id in ids]
    assert ends == list(range(30))
    assert outputs == [b"%d\n" % number for number in range(30)]


# --- output and credit ---------------------------------------------------------------------------------------------


def test_no_more_output_is_sent_than_there_is_credit(agent: Agent) -> None:
    execution_id = agent.start("printf", "0123456789abcdef", credit=10)
    agent.take("ended", execution_id)
    assert agent.take("output", execution_id).payload == b"0123456789"
    agent.send("credit", id=execution_id, total=13)
    assert agent.take("output", execution_id).payload == b"abc"
    agent.send("credit", id=execution_id, total=100)
    assert agent.take("output", execution_id).payload == b"def"
    agent.take("drained", execution_id)


def test_output_that_nobody_took_in_time_becomes_a_gap_between_head_and_tail(agent: Agent) -> None:
    execution_id = agent.start("sh", "-c", "seq 40000; seq 40000", credit=None)
    written = SEQUENCE * 2
    assert agent.take("ended", execution_id).fields["stdout_bytes"] == len(written)
    agent.resume(execution_id)
    head, tail_from = 64 * 1024, len(written) - 160 * 1024
    gap = agent.take("gap", execution_id).fields
    assert (gap["stream"], gap["from_offset"], gap["to_offset"]) == ("stdout", head, tail_from)
    assert agent.take("drained", execution_id).fields["truncated"]
    chunks = [message for message in agent.unread if message.type == "output"]
    assert b"".join(chunk.payload for chunk in chunks) == written[:head] + written[tail_from:]
    assert {chunk.fields["offset"] for chunk in chunks} >= {0, tail_from}


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_of_a_program_that_writes_one_stream_seven_eighths_of_the_spool_are_kept(agent: Agent, stream: str) -> None:
    sink = {"stdout": "", "stderr": ">&2"}[stream]
    execution_id = agent.start("sh", "-c", f"head -c {7 * 32 * 1024} /dev/zero {sink}", credit=None)
    agent.take("ended", execution_id)
    agent.resume(execution_id)
    end = agent.take_end(execution_id)
    assert (len(end.stdout) + len(end.stderr), end.gaps, end.truncated) == (7 * 32 * 1024, [], False)


def test_a_stream_that_is_late_has_what_the_first_one_left_of_the_spool(agent: Agent) -> None:
    script = "head -c 250000 /dev/zero; seq 40000 >&2"
    execution_id = agent.start("sh", "-c", script, credit=None)
    agent.take("ended", execution_id)
    agent.resume(execution_id)
    end = agent.take_end(execution_id)
    kept = 16 * 1024
    assert end.stderr == SEQUENCE[:kept] + SEQUENCE[-kept:]
    assert [stream for stream, _, _ in end.gaps] == ["stdout", "stderr"]


def test_exact_output_makes_the_program_wait_instead(agent: Agent) -> None:
    execution_id = agent.start("seq", "40000", credit=1000, exact=True)
    assert agent.take("output", execution_id).payload == SEQUENCE[:1000]
    agent.send("credit", id=execution_id, total=len(SEQUENCE))
    end = agent.take_end(execution_id)
    assert SEQUENCE[:1000] + end.stdout == SEQUENCE
    assert (end.fields["exit_code"], end.gaps, end.truncated) == (0, [], False)


def test_output_is_sent_again_from_the_offset_that_is_asked_for(agent: Agent) -> None:
    execution_id = agent.start("sh", "-c", "printf 0123456789; printf abcdef >&2")
    agent.take_end(execution_id)
    agent.unread.clear()
    agent.resume(execution_id, stdout=7, stderr=6)
    again = agent.take_end(execution_id)
    assert (again.stdout, again.stderr, again.gaps) == (b"789", b"", [])


def test_output_is_sent_while_the_program_still_runs(agent: Agent) -> None:
    execution_id = agent.start("sh", "-c", "echo one; read line; sleep 1000 & wait")
    assert agent.take("output", execution_id).payload == b"one\n"
    agent.send("stop", id=execution_id, kill_after=5.0)
    assert agent.take("ended", execution_id).fields["stop_reason"] == "cancelled"


def test_many_programs_that_write_much_at_once_lose_nothing(agent: Agent) -> None:
    size = 1_000_000
    ids = [agent.start("head", "-c", str(size), "/dev/zero", exact=True, spool_bytes=2**23) for _ in range(20)]
    drained = [agent.take("drained", execution_id) for execution_id in ids]
    assert not any(message.fields["truncated"] for message in drained)
    sent = dict.fromkeys(ids, 0)
    for message in agent.unread:
        if message.type == "output":
            sent[message.fields["id"]] += len(message.payload)
    assert sent == dict.fromkeys(ids, size)
