"""How an execution ended, between what the runner says, what the journal keeps and what the admin is told. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_wire.v1 import command_pb2, error_pb2

_OUTCOMES = {
    "ok": command_pb2.OUTCOME_OK,
    "failed": command_pb2.OUTCOME_FAILED,
    "timed_out": command_pb2.OUTCOME_TIMED_OUT,
    "cancelled": command_pb2.OUTCOME_CANCELLED,
    "lost": command_pb2.OUTCOME_LOST,
}
_STARTED = {True: error_pb2.STARTED_YES, False: error_pb2.STARTED_NO, None: error_pb2.STARTED_UNKNOWN}


def from_runner(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What the runner said, with the outcome that it means."""
    facts = {name: value for name, value in fields.items() if name != "id"}
    return {**facts, "outcome": _outcome(fields)}


def lost(code: str, message: str, *, was_started: bool) -> dict[str, Any]:
    """An execution whose end cannot be known."""
    return {
        "outcome": "lost",
        "started": True if was_started else None,
        "error_code": code,
        "error_message": message,
        "truncated": True,
    }


def not_run(code: str, message: str) -> dict[str, Any]:
    """An execution that surely never started and will not."""
    return {"outcome": "failed", "started": False, "error_code": code, "error_message": message}


def never_started() -> dict[str, Any]:
    """A waiting execution that was cancelled."""
    return {"outcome": "cancelled", "started": False}


def to_message(end: Mapping[str, Any]) -> command_pb2.ExecutionEnd:
    """For the admin."""
    message = command_pb2.ExecutionEnd(
        outcome=_OUTCOMES[end["outcome"]],
        started=_STARTED[end.get("started")],
        signal=end.get("signal", ""),
        stdout_bytes=end.get("stdout_bytes", 0),
        stderr_bytes=end.get("stderr_bytes", 0),
        truncated=end.get("truncated", False),
        output_held_open=end.get("held_open", False),
        error_code=end.get("error_code", ""),
        error_message=end.get("error_message", ""),
    )
    if end.get("exit_code") is not None:
        message.exit_code = end["exit_code"]
    if end.get("duration") is not None:
        message.duration.FromMicroseconds(round(end["duration"] * 1_000_000))
    return message


def _outcome(fields: Mapping[str, Any]) -> str:
    if fields["stop_reason"]:
        return str(fields["stop_reason"])
    return "ok" if fields["exit_code"] == 0 else "failed"
