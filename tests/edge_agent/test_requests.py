"""What an order to start means to the runner, and what never gets as far."""

from __future__ import annotations

import base64

import pytest

from edge_agent.executions.requests import SCRIPT_LIMIT, to_request
from edge_wire.errors import ArgvInvalid
from edge_wire.v1 import command_pb2
from edge_wire.v1 import session_pb2 as pb

Variable = command_pb2.EnvironmentVariable
USUAL = {"timeout": None, "kill_after": 0.0, "exact": False}


def test_an_ordinary_command_asks_for_nothing_that_an_older_runner_does_not_know() -> None:
    argv = command_pb2.Argv(arguments=["echo", "hi"])
    assert to_request(pb.StartExecution(argv=argv)) == {**USUAL, "argv": ["echo", "hi"]}
    assert to_request(pb.StartExecution(shell="echo hi")) == {**USUAL, "argv": ["/bin/sh", "-c", "echo hi"]}


def test_everything_that_is_asked_for_is_passed_on() -> None:
    start = pb.StartExecution(
        script=command_pb2.Script(content=b"\xff\0", arguments=["a", ""], name="x"),
        environment=[Variable(name="A", value="1"), Variable(name="B", value=""), Variable(name="A", value="2")],
        working_directory="/tmp",
        user="nobody",
        has_stdin=True,
        terminal=command_pb2.Terminal(columns=80, rows=24, kind="xterm"),
    )
    assert to_request(start) == {
        **USUAL,
        "argv": ["a", ""],
        "script": base64.b64encode(b"\xff\0").decode(),
        "environment": {"A": "2", "B": ""},
        "working_directory": "/tmp",
        "user": "nobody",
        "has_stdin": True,
        "terminal": {"columns": 80, "rows": 24, "kind": "xterm"},
    }


def test_a_script_of_the_largest_size_and_an_empty_one_are_taken() -> None:
    for content in (b"x" * SCRIPT_LIMIT, b""):
        request = to_request(pb.StartExecution(script=command_pb2.Script(content=content)))
        assert base64.b64decode(request["script"]) == content


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(pb.StartExecution(), id="nothing"),
        pytest.param(pb.StartExecution(shell=""), id="no text"),
        pytest.param(pb.StartExecution(argv=command_pb2.Argv()), id="no arguments"),
        pytest.param(pb.StartExecution(argv=command_pb2.Argv(arguments=["", "a"])), id="a program without a name"),
        pytest.param(pb.StartExecution(argv=command_pb2.Argv(arguments=["a", "b\0"])), id="a NUL in an argument"),
        pytest.param(pb.StartExecution(shell="a\0"), id="a NUL in the text"),
        pytest.param(pb.StartExecution(script=command_pb2.Script(arguments=["\0"])), id="a NUL for a script"),
        pytest.param(
            pb.StartExecution(script=command_pb2.Script(content=b"x" * (SCRIPT_LIMIT + 1))), id="a large script"
        ),
        pytest.param(pb.StartExecution(shell="a", environment=[Variable(name="", value="x")]), id="no name"),
        pytest.param(pb.StartExecution(shell="a", environment=[Variable(name="A=B", value="x")]), id="= in a name"),
        pytest.param(pb.StartExecution(shell="a", environment=[Variable(name="A\0", value="x")]), id="NUL in a name"),
        pytest.param(pb.StartExecution(shell="a", environment=[Variable(name="A", value="x\0")]), id="NUL in a value"),
        pytest.param(pb.StartExecution(shell="a", working_directory="\0"), id="a NUL in the directory"),
        pytest.param(pb.StartExecution(shell="a", user="\0"), id="a NUL in the account"),
        pytest.param(pb.StartExecution(shell="a", terminal=command_pb2.Terminal(kind="\0")), id="a NUL in the kind"),
        pytest.param(pb.StartExecution(shell="ü" * 600_000), id="more than the runner takes in one message"),
    ],
)
def test_what_no_kernel_could_run_is_refused(start: pb.StartExecution) -> None:
    with pytest.raises(ArgvInvalid):
        to_request(start)


def test_a_refusal_says_nothing_of_what_is_in_the_environment() -> None:
    start = pb.StartExecution(shell="a", environment=[Variable(name="TOKEN", value="secret\0")])
    with pytest.raises(ArgvInvalid) as refusal:
        to_request(start)
    assert "secret" not in str(refusal.value)
