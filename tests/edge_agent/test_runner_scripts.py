"""Programs that are brought along: run from memory by the interpreter that they name."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_agent.runner.script import interpreter_of
from tests.edge_agent.processes import Agent, Ended


def run(agent: Agent, content: bytes | str, *arguments: str, **options: Any) -> Ended:
    return agent.run(*arguments, script=encoded(content), **options)


def encoded(content: bytes | str) -> str:
    return base64.b64encode(content if isinstance(content, bytes) else content.encode()).decode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"echo hi\n", ["/bin/sh"]),
        (b"", ["/bin/sh"]),
        (b"#!/bin/bash\necho hi\n", ["/bin/bash"]),
        (b"#!/bin/bash", ["/bin/bash"]),
        (b"#! \t/bin/sh  \n", ["/bin/sh"]),
        (b"#!/usr/bin/env python3\n", ["/usr/bin/env", "python3"]),
        (b"#!/usr/bin/awk -f  -v x=1 \n", ["/usr/bin/awk", "-f  -v x=1"]),
        (b"#!\necho hi\n", ["/bin/sh"]),
        (b"\n#!/bin/bash\n", ["/bin/sh"]),
        (b"#!/opt/\xff\n", ["/opt/\udcff"]),
    ],
)
def test_the_first_line_names_a_program_and_at_most_one_argument(content: bytes, words: list[str]) -> None:
    assert interpreter_of(content) == words


def test_a_script_that_names_no_interpreter_is_run_by_the_shell_with_its_arguments(agent: Agent) -> None:
    end = run(agent, 'printf "%s|" "$#" "$@"', "one", "two words", "", "$HOME")
    assert (end.fields["exit_code"], end.stdout) == (0, b"4|one|two words||$HOME|")


def test_a_script_is_run_by_the_interpreter_that_it_names(agent: Agent) -> None:
    end = run(agent, f"#!{sys.executable} -IS\nimport sys\nprint(sys.argv[1:], sys.flags.isolated)\n", "a", "b")
    assert end.stdout == b"['a', 'b'] 1\n"


def test_the_exit_code_of_a_script_is_told(agent: Agent) -> None:
    assert run(agent, "#!/bin/sh\nexit 7\n").fields["exit_code"] == 7


def test_a_script_of_512_kib_arrives_whole(agent: Agent) -> None:
    last = b"\necho last\n"
    end = run(agent, b"#!/bin/sh\n" + b"#" * (512 * 1024 - 10 - len(last)) + last)
    assert (end.fields["exit_code"], end.stdout) == (0, b"last\n")


def test_a_script_lies_in_memory_only(agent: Agent) -> None:
    assert run(agent, 'readlink "$0"').stdout.startswith(b"/memfd:")


def test_a_script_reads_its_stdin_while_it_runs(agent: Agent) -> None:
    execution_id = agent.start(script=encoded('read line; echo "got $line"'), has_stdin=True)
    agent.bring(execution_id, b"hello\n", is_last=True)
    assert agent.take_end(execution_id).stdout == b"got hello\n"


@pytest.mark.root
@pytest.mark.parametrize("first_line", ["", "#!/bin/bash\n"])
@pytest.mark.parametrize("terminal", [None, {"columns": 80, "rows": 24, "kind": "xterm"}])
def test_a_script_runs_as_another_account(agent: Agent, first_line: str, terminal: dict[str, object] | None) -> None:
    end = run(agent, f'{first_line}id -un; echo "$1"', "first", user="nobody", terminal=terminal)
    assert end.stdout.split() == [b"nobody", b"first"]


def test_a_missing_interpreter_is_named_and_nothing_is_started(agent: Agent) -> None:
    end = run(agent, "#!/opt/no/such/interpreter -x\n")
    assert (end.fields["started"], end.fields["exit_code"]) == (False, 127)
    assert end.fields["error_code"] == "program_not_found"
    assert "/opt/no/such/interpreter:" in end.fields["error_message"]


def test_an_interpreter_that_cannot_be_executed_is_named(agent: Agent, tmp_path: Path) -> None:
    interpreter = tmp_path / "interpreter"
    interpreter.write_text("no program at all")
    end = run(agent, f"#!{interpreter}\n")
    assert (end.fields["started"], end.fields["error_code"]) == (False, "program_not_executable")
    assert str(interpreter) in end.fields["error_message"]
