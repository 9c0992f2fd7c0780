"""What an operator may ask of a command: limits, and the words in which more is refused."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Literal

from edge_wire.errors import ArgvInvalid, InvalidValue, ScriptInvalid
from edge_wire.names import quoted
from edge_wire.timestamps import from_duration
from edge_wire.v1 import command_pb2 as pb

ARGV_LIMIT = 512 * 1024
"""Bytes of a command; Linux takes 128 KiB in one argument and more in all, the node has the last word."""
ARGUMENTS_LIMIT = 50_000
"""Arguments of a command: even empty ones take room in the order and on the node."""
SCRIPT_LIMIT = 512 * 1024
ENVIRONMENT_LIMIT = 128 * 1024
ENVIRONMENT_COUNT_LIMIT = 1000
PATH_LIMIT = 4096
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
SPEC_LIMIT = 896 * 1024
"""Bytes of a command with all that it brings: the order to start it must fit into one frame of a session."""
NAME_LIMIT = 100
REQUEST_ID_LIMIT = 100
_LONGEST = timedelta(days=365)


_SPANS: tuple[Literal["timeout", "kill_after", "contact_timeout", "pause", "deadline", "expires"], ...] = (
    "timeout",
    "kill_after",
    "contact_timeout",
    "pause",
    "deadline",
    "expires",
)
_LONGER_THAN_0 = {"timeout", "deadline", "expires"}


def check_spec(spec: pb.CommandSpec) -> None:
    """Raise ArgvInvalid or InvalidValue when a command cannot be meant."""
    _check_program(spec)
    if len(spec.name) > NAME_LIMIT:
        raise InvalidValue(f"a command's name has at most {NAME_LIMIT} characters")
    if spec.ByteSize() > SPEC_LIMIT:
        raise ArgvInvalid(f"command, script and environment have more than {SPEC_LIMIT} bytes together")
    _check_pace(spec)
    _check_surroundings(spec)


def _check_program(spec: pb.CommandSpec) -> None:
    if spec.HasField("script"):
        if not spec.script.content.strip() or len(spec.script.content) > SCRIPT_LIMIT:
            raise ScriptInvalid(f"a script has from 1 to {SCRIPT_LIMIT} bytes")
        words = ["script", *spec.script.arguments]
    else:
        words = [spec.shell] if spec.HasField("shell") else list(spec.argv.arguments)
    if not words or not words[0].strip():
        raise ArgvInvalid("there is no command to run", hint="edgectl exec NODE -- COMMAND [ARGUMENTS]")
    if any("\0" in word for word in words):
        raise ArgvInvalid("an argument holds a NUL character")
    size = sum(len(word.encode("utf-8", "surrogatepass")) for word in words)
    if size > ARGV_LIMIT:
        raise ArgvInvalid(f"the command has {size} bytes, at most {ARGV_LIMIT} are allowed")
    if len(words) > ARGUMENTS_LIMIT:
        raise ArgvInvalid(f"the command has {len(words)} arguments, at most {ARGUMENTS_LIMIT} are allowed")


def _check_pace(spec: pb.CommandSpec) -> None:
    for field, least in (("fanout", 1), ("batch", 1), ("max_errors", 0)):
        _check_portion(field, getattr(spec, field), least)
    for field in _SPANS:
        if spec.HasField(field) and not timedelta(0) <= from_duration(getattr(spec, field)) <= _LONGEST:
            raise InvalidValue(f"{field} must lie between 0 and {_LONGEST.days} days")
        if spec.HasField(field) and field in _LONGER_THAN_0 and not from_duration(getattr(spec, field)):
            raise InvalidValue(f"{field} must be longer than 0; leave it out for no limit")


def _check_portion(field: str, portion: pb.Portion, least: int) -> None:
    kind = portion.WhichOneof("amount")
    if kind == "count" and portion.count < least:
        raise InvalidValue(f"{field} must be at least {least}")
    if kind == "percent" and not least <= portion.percent <= 100:
        raise InvalidValue(f"{field} must be from {least}% to 100%")


def _check_surroundings(spec: pb.CommandSpec) -> None:
    size = sum(len(item.name) + len(item.value.encode("utf-8", "surrogatepass")) for item in spec.environment)
    if size > ENVIRONMENT_LIMIT or len(spec.environment) > ENVIRONMENT_COUNT_LIMIT:
        raise InvalidValue(
            f"the environment has {len(spec.environment)} variables of {size} bytes: at most"
            f" {ENVIRONMENT_COUNT_LIMIT} and {ENVIRONMENT_LIMIT}"
        )
    for item in spec.environment:
        if not _VARIABLE.fullmatch(item.name) or "\0" in item.value:
            raise InvalidValue(f"{quoted(item.name)} is no environment variable")
    for field in ("user", "working_directory"):
        text = getattr(spec, field)
        if "\0" in text or len(text) > PATH_LIMIT:
            raise InvalidValue(f"{field} is not usable: at most {PATH_LIMIT} characters and no NUL")
    if spec.HasField("terminal") and not (0 < spec.terminal.columns < 10_000 and 0 < spec.terminal.rows < 10_000):
        raise InvalidValue("a terminal has from 1 to 9999 columns and rows")
