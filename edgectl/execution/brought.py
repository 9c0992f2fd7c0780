"""What a command brings along from here: environment variables and a script. Values never appear in error texts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from edge_wire.errors import ScriptInvalid, UsageError
from edge_wire.v1 import command_pb2 as pb

SCRIPT_LIMIT = 512 * 1024
"""Bytes of a script; the admin and the node have the same limit."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENVIRONMENT_FILE_LIMIT = 1024 * 1024


def read_environment(
    words: Sequence[str], file: str, environ: Mapping[str, str] = os.environ
) -> list[pb.EnvironmentVariable]:
    """`NAME=value`, or `NAME` with its value here; those of the file first, so that a flag wins. Raises UsageError."""
    found: dict[str, str] = {}
    for origin, word in [*(("--env-file", line) for line in _lines(file)), *(("--env", word) for word in words)]:
        name, has_value, value = word.partition("=")
        if not _NAME.fullmatch(name):
            raise UsageError(f"{origin}: {name!r} is not the name of an environment variable")
        if not has_value and name not in environ:
            raise UsageError(f"{origin}: {name} is not set here", hint=f"write {name}=value, or export {name}")
        found[name] = value if has_value else environ[name]
    return [pb.EnvironmentVariable(name=name, value=value) for name, value in found.items()]


def read_script(path: str, arguments: Sequence[str]) -> pb.Script:
    """A script with what it is given. Raises ScriptInvalid."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(SCRIPT_LIMIT + 1)
    except OSError as error:
        raise ScriptInvalid(f"--script {path}: {error.strerror}") from None
    if not content.strip():
        raise ScriptInvalid(f"--script {path}: it is empty")
    if len(content) > SCRIPT_LIMIT:
        raise ScriptInvalid(
            f"--script {path}: more than {SCRIPT_LIMIT // 1024} KiB", hint="copy it with edgectl cp and run it by name"
        )
    return pb.Script(content=content, arguments=arguments, name=Path(path).name)


def _lines(file: str) -> Iterable[str]:
    if not file:
        return []
    try:
        with Path(file).open("rb") as opened:
            text = opened.read(_ENVIRONMENT_FILE_LIMIT).decode()
    except OSError as error:
        raise UsageError(f"--env-file {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--env-file {file}: this is not text") from None
    stripped = [line.strip() for line in text.splitlines()]
    return [line for line in stripped if line and not line.startswith("#")]
