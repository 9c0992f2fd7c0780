"""What the admin's order to start means: the request that the journal keeps and the runner obeys. Pure."""

from __future__ import annotations

import base64
import json
from typing import Any

from edge_wire.errors import ArgvInvalid
from edge_wire.v1 import session_pb2 as pb

SCRIPT_LIMIT = 512 * 1024
_REQUEST_LIMIT = 3 * 1024 * 1024
"""Bytes of a request as JSON: the runner takes 4 MiB in one message."""
_SURELY_FITS = 256 * 1024
"""Bytes of an order whose request is smaller than that however much JSON has to escape: six times as much at most."""


def to_request(start: pb.StartExecution) -> dict[str, Any]:
    """The fields of the runner's StartRequest that are asked for. Raises ArgvInvalid.

    What no kernel could run must not get as far as the runner. Fields with their usual value are left out, so that a
    runner of an older agent takes what it can do.
    """
    _check(start)
    request = {
        **_program(start),
        "timeout": start.timeout.ToTimedelta().total_seconds() if start.HasField("timeout") else None,
        "kill_after": start.kill_after.ToTimedelta().total_seconds(),
        "exact": start.exact_output,
        **{name: value for name, value in _surroundings(start).items() if value},
    }
    if start.ByteSize() > _SURELY_FITS and len(json.dumps(request)) > _REQUEST_LIMIT:
        raise ArgvInvalid("the command is too large with its environment")
    return request


def _check(start: pb.StartExecution) -> None:
    if _is_empty(start):
        raise ArgvInvalid
    if len(start.script.content) > SCRIPT_LIMIT:
        raise ArgvInvalid(f"the script is larger than {SCRIPT_LIMIT // 1024} KiB")
    if any(not variable.name or "=" in variable.name for variable in start.environment):
        raise ArgvInvalid("the name of an environment variable is empty or has a = in it")
    if any("\0" in text for text in _texts(start)):
        raise ArgvInvalid("there is a NUL in the command or its environment")


def _is_empty(start: pb.StartExecution) -> bool:
    kind = start.WhichOneof("program")
    if kind == "shell":
        return not start.shell
    if kind == "argv":
        return not start.argv.arguments or not start.argv.arguments[0]
    return kind is None


def _texts(start: pb.StartExecution) -> list[str]:
    """Everything that the kernel takes as a string which ends with a NUL."""
    variables = [text for variable in start.environment for text in (variable.name, variable.value)]
    words = [start.shell, *start.argv.arguments, *start.script.arguments]
    return [*words, *variables, start.working_directory, start.user, start.terminal.kind]


def _program(start: pb.StartExecution) -> dict[str, Any]:
    if start.HasField("script"):
        return {
            "argv": list(start.script.arguments),
            "script": base64.b64encode(start.script.content).decode(),
        }
    return {"argv": ["/bin/sh", "-c", start.shell] if start.HasField("shell") else list(start.argv.arguments)}


def _surroundings(start: pb.StartExecution) -> dict[str, Any]:
    terminal = start.terminal
    return {
        "environment": {variable.name: variable.value for variable in start.environment},
        "working_directory": start.working_directory,
        "user": start.user,
        "has_stdin": start.has_stdin,
        "terminal": {"columns": terminal.columns, "rows": terminal.rows, "kind": terminal.kind}
        if start.HasField("terminal")
        else None,
    }
