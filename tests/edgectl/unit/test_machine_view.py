"""Checks what programs read of an exec: one object per event with `-o jsonl`, one document with `-o json`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_wire.errors import NodeOffline
from edge_wire.v1 import command_pb2 as pb
from edgectl.execution.sink import Piece
from edgectl.execution.tally import Tally
from edgectl.views.machine import DOCUMENT_LIMIT, DocumentView, EventsView
from edgectl.views.view import STDOUT as OUT
from tests.edgectl.unit.events import (
    COMMAND,
    DB,
    STDERR,
    WEB,
    contact,
    ended,
    exited,
    gap,
    happening,
    killed,
    no_contact,
    ok,
    output,
    result_of,
    says,
    state,
    tally_of,
)

END = {
    "outcome": "ok",
    "started": True,
    "exit_code": 0,
    "signal": None,
    "duration_ms": 184,
    "stdout_bytes": 4,
    "stderr_bytes": 0,
    "truncated": False,
    "output_held_open": False,
}


def rows(pieces: list[Piece]) -> list[dict[str, Any]]:
    assert all(piece.descriptor == OUT and piece.data.endswith(b"\n") for piece in pieces)
    return [json.loads(line) for piece in pieces for line in piece.data.split(b"\n")[:-1]]


def told(*events: pb.CommandEvent) -> list[dict[str, Any]]:
    """The objects of some events, without what all of them have."""
    view = EventsView(tally_of(WEB, DB))
    common = {"schema", "command", "node", "seq", "time"}
    shown = rows(view.show([happening(event) for event in events]))
    return [{name: value for name, value in row.items() if name not in common} for row in shown]


def document(tally: Tally, view: DocumentView, *events: pb.CommandEvent, **more: Any) -> dict[str, Any]:
    assert view.show(tally.take(says(*events))) == []
    [piece] = view.finish(result_of(tally, **more))
    found: dict[str, Any] = json.loads(piece.data)
    return found


def test_an_event_says_of_what_command_and_node_it_is_in_which_order_and_when() -> None:
    view = EventsView(tally_of(WEB))
    first, second = rows(view.show([happening(output(b"line\n")), happening(output(b"oops\n", stream=STDERR))]))
    assert first == {
        "schema": "edgectl.exec.event/v1",
        "command": COMMAND,
        "node": {"id": "n-web", "name": "web-1"},
        "seq": 1,
        "time": "2026-03-01T12:00:00.000Z",
        "type": "stdout",
        "data": "line\n",
    }
    assert (second["seq"], second["type"], second["data"]) == (2, "stderr", "oops\n")


def test_each_kind_of_event_has_its_object() -> None:
    events = [state(pb.EXECUTION_STATE_RUNNING), gap(4, 9), no_contact(), contact(), ended(ok(stdout_bytes=4))]
    assert told(*events) == [
        {"type": "state", "state": "running"},
        {"type": "gap", "stream": "stdout", "from": 4, "to": 9},
        {"type": "no_contact"},
        {"type": "contact"},
        {"type": "end", **END},
    ]


def test_bytes_that_are_no_text_are_base64() -> None:
    assert told(output(b"\xff\x00\n")) == [{"type": "stdout", "data_b64": "/wAK"}]


def test_a_character_that_is_split_between_chunks_is_put_together_per_node_and_stream() -> None:
    assert told(output(b"\xc3"), output(b"\xc3", of=DB), output(b"\xa9"), output(b"\xa8", of=DB)) == [
        {"type": "stdout", "data": "é"},
        {"type": "stdout", "data": "è"},
    ]


@pytest.mark.parametrize("event", [gap(1, 4), ended(exited(1))])
def test_half_a_character_comes_before_what_cuts_it_off(event: pb.CommandEvent) -> None:
    first, second = told(output(b"\xc3"), event)
    assert first == {"type": "stdout", "data_b64": "ww=="}
    assert second["type"] in {"gap", "end"}


def test_half_a_character_is_told_even_when_the_node_never_ended() -> None:
    tally = tally_of(WEB)
    view = EventsView(tally)
    assert view.show(tally.take(says(output(b"\xc3")))) == []
    assert [row.get("data_b64") for row in rows(view.finish(result_of(tally)))] == ["ww==", None]


def test_an_end_that_is_told_as_a_state_too_is_one_object() -> None:
    assert [row["type"] for row in told(state(pb.EXECUTION_STATE_ENDED), ended(ok()))] == ["end"]


def test_a_signal_has_a_name_and_no_exit_code() -> None:
    [row] = told(ended(killed("SIGKILL")))
    assert (row["exit_code"], row["signal"], row["duration_ms"]) == (None, "SIGKILL", None)


def test_the_summary_comes_last_and_only_an_error_behind_it() -> None:
    tally = tally_of(WEB, DB)
    tally.take(says(ended(ok())))
    view = EventsView(tally)
    [summary] = rows(view.finish(result_of(tally, exit_code=4)))
    assert summary == {
        "schema": "edgectl.exec.summary/v1",
        "command": COMMAND,
        "counts": tally.counts(),
        "exit_code": 4,
        "stop_reason": None,
        "duration_ms": 210,
    }
    _, error = rows(view.finish(result_of(tally, failure=NodeOffline("edge11 is offline"))))
    assert (error["schema"], error["code"]) == ("edgectl.error/v1", "node_offline")


def test_a_document_has_every_execution_with_its_whole_output() -> None:
    events = [output(b"on"), output(b"e\n", at=2), output(b"\xff", stream=STDERR), ended(ok(stdout_bytes=4))]
    found = document(tally_of(WEB, DB), DocumentView(), *events)
    assert found["schema"] == "edgectl.exec.summary/v1"
    web, db = found["executions"]
    node = {"id": "n-web", "name": "web-1"}
    assert web == {"id": "x-web", "node": node, "cluster": "oslo", **END, "stdout": "one\n", "stderr_b64": "/w=="}
    assert (db["outcome"], db["stdout"], db["stderr"]) == (None, "", "")


def test_a_document_with_a_hole_says_so() -> None:
    found = document(tally_of(WEB), DocumentView(), gap(0, 4), output(b"end\n", at=4), ended(ok(stdout_bytes=8)))
    [web] = found["executions"]
    assert (web["truncated"], web["stdout"], web["stdout_bytes"]) == (True, "end\n", 8)


def test_a_document_keeps_16_mib_of_a_stream_and_says_when_there_was_more() -> None:
    size = DOCUMENT_LIMIT + 1
    half = size // 2
    events = [output(b"x" * half), output(b"x" * (size - half), at=half), ended(ok(stdout_bytes=size))]
    [web] = document(tally_of(WEB), DocumentView(), *events)["executions"]
    assert len(web["stdout"]) == 16 * 1024 * 1024
    assert (web["truncated"], web["stdout_bytes"]) == (True, size)


def test_an_error_is_the_document_and_carries_what_is_known() -> None:
    found = document(tally_of(WEB), DocumentView(), output(b"one\n"), failure=NodeOffline("edge11 is offline"))
    assert (found["schema"], found["code"]) == ("edgectl.error/v1", "node_offline")
    assert found["summary"]["executions"][0]["stdout"] == "one\n"
