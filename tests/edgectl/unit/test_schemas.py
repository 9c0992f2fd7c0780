"""Checks the published schemas: one for every `schema` value in the code, every field described, nothing left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

import edgectl
from edge_wire import errors
from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import error_pb2, node_pb2, principal_pb2
from edgectl import meanings, schemas, shapes
from edgectl.execution.tally import OUTCOMES
from edgectl.explanations import explanation_row, find_topics, list_topics, topic_row
from edgectl.output import error_object
from edgectl.views.machine import DocumentView, EventsView
from tests.edgectl.unit.events import (
    DB,
    NOON,
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
from tests.support.schemas import check, validator

[PACKAGE] = edgectl.__path__
NAMED = re.compile(r'"(edgectl\.[a-z_.]+/v\d+)"')

NEVER_STARTED = pb.ExecutionEnd(
    outcome=pb.OUTCOME_FAILED,
    started=error_pb2.STARTED_NO,
    error_code="program_not_found",
    error_message="no such program",
)
LOST = pb.ExecutionEnd(outcome=pb.OUTCOME_LOST, started=error_pb2.STARTED_UNKNOWN, truncated=True)


def named_in_the_code() -> set[str]:
    return {name for path in Path(PACKAGE).rglob("*.py") for name in NAMED.findall(path.read_text())}


def subschemas(schema: Any) -> Iterator[tuple[str, Any]]:
    """Every described field below a schema, by its name."""
    if isinstance(schema, list):
        for item in schema:
            yield from subschemas(item)
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()
        for value in schema.values():
            yield from subschemas(value)


def test_every_schema_in_the_code_has_a_file_and_every_file_is_of_one() -> None:
    assert set(schemas.names()) == named_in_the_code()


@pytest.mark.parametrize("name", schemas.names())
def test_a_schema_is_a_valid_one_that_describes_every_field(name: str) -> None:
    schema = schemas.load(name)
    Draft202012Validator.check_schema(schema)
    assert (schema["title"], schema["properties"]["schema"]["const"]) == (name, name)
    assert schema["description"].endswith(".")
    assert "schema" in schema["required"]
    for field, described in subschemas(schema):
        is_repeated = set(described) == {"const"} or not described
        assert is_repeated or described.get("description", "").endswith("."), f"{name}: {field} has no description"


def test_a_schema_in_one_piece_refers_to_nothing_outside_it() -> None:
    for name in schemas.names():
        text = json.dumps(schemas.load(name))
        assert all(reference.startswith("#/$defs/") for reference in re.findall(r'"\$ref": "([^"]*)"', text))


def test_the_words_are_those_of_the_code() -> None:
    shared = schemas.load("edgectl.exec.summary/v1")["$defs"]
    assert shared["outcome"]["enum"] == list(OUTCOMES) == list(meanings.OUTCOMES)
    assert list(shared["counts"]["properties"]) == ["total", *OUTCOMES]
    recorded = schemas.load("edgectl.command/v1")["$defs"]
    assert set(recorded["recorded_counts"]["properties"]) == set(shapes.counts(pb.OutcomeCounts()))
    assert recorded["state"]["enum"] == words_of(pb.ExecutionState, "EXECUTION_STATE_")
    assert schemas.load("edgectl.token/v1")["$defs"]["token"]["properties"]["role"]["enum"] == words_of(
        principal_pb2.Role, "ROLE_"
    )
    node = schemas.load("edgectl.node/v1")["properties"]
    assert node["status"]["enum"] == words_of(node_pb2.NodeStatus, "NODE_STATUS_")
    reasons = schemas.load("edgectl.command/v1")["properties"]["stop_reason"]["enum"]
    assert reasons == schemas.load("edgectl.exec.summary/v1")["properties"]["stop_reason"]["enum"]
    assert reasons == [*words_of(pb.StopReason, "STOP_REASON_"), None]
    assert node["path"]["enum"] == [*words_of(node_pb2.Path, "PATH_"), None]


def words_of(enum: Any, prefix: str) -> list[str]:
    return [shapes.word(enum, value, prefix) for value in enum.values() if value]


EVENTS = {
    "stdout": output(b"line\n"),
    "stderr": output(b"oops\n", stream=STDERR),
    "bytes that are no text": output(b"\xff\x00"),
    "running": state(pb.EXECUTION_STATE_RUNNING),
    "gap": gap(4, 9),
    "no contact": no_contact(),
    "contact": contact(),
    "queued": pb.CommandEvent(execution_id=WEB.execution_id, time=NOON, queued=pb.Queued()),
    "ok": ended(ok(stdout_bytes=4)),
    "failed": ended(exited(3)),
    "killed": ended(killed("SIGKILL")),
    "never started": ended(NEVER_STARTED),
    "lost": ended(LOST),
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_every_kind_of_event_is_described(event: pb.CommandEvent) -> None:
    pieces = EventsView(tally_of(WEB)).show([happening(event)])
    assert pieces
    check([json.loads(piece.data) for piece in pieces])


@pytest.mark.parametrize("end", [ok(), exited(1), killed("SIGSEGV"), NEVER_STARTED, LOST, None])
@pytest.mark.parametrize("failure", [None, errors.NodeOffline("edge11 is offline", request_id="r-7")])
def test_a_document_is_described_whatever_became_of_the_nodes(
    end: pb.ExecutionEnd | None, failure: errors.EdgeError | None
) -> None:
    tally, view = tally_of(WEB, DB), DocumentView()
    view.show(tally.take(says(output(b"\xff"), output(b"text", stream=STDERR), *([ended(end)] if end else []))))
    [piece] = view.finish(result_of(tally, exit_code=3, failure=failure))
    check(json.loads(piece.data))


def test_a_summary_is_described() -> None:
    for piece in EventsView(tally_of(WEB)).finish(result_of(tally_of(WEB), exit_code=4, failure=errors.StreamBroken())):
        check(json.loads(piece.data))


@pytest.mark.parametrize("kind", errors.BY_CODE.values(), ids=errors.BY_CODE)
@pytest.mark.parametrize("started", ["yes", "no", "unknown"])
def test_every_error_is_described(kind: type[errors.EdgeError], started: errors.Started) -> None:
    check(error_object(kind("x", hint="y", started=started, request_id="r")))


def test_everything_that_is_explained_is_described() -> None:
    check([topic_row(topic) for topic in list_topics()])
    for topic in list_topics():
        if topic.kind != "schema":
            check(explanation_row(topic.name, find_topics(topic.name)))


def test_a_command_in_each_state_is_described() -> None:
    execution = pb.Execution(id="x", node_id="n", node_name="web-1", state=pb.EXECUTION_STATE_PENDING)
    ended_one = pb.Execution(id="y", node_id="n", node_name="web-1", state=pb.EXECUTION_STATE_ENDED, end=LOST)
    script = pb.CommandSpec(script=pb.Script(name="x.sh", arguments=["a"]), user="web", working_directory="/srv")
    check(shapes.command(pb.Command(id="c", spec=script, stop_reason=pb.STOP_REASON_DEADLINE)))
    row = shapes.command(pb.Command(id="c", spec=pb.CommandSpec(shell="true")))
    check({**row, "executions": [shapes.execution(execution), shapes.execution(ended_one)]})


def test_the_tests_take_a_field_that_nobody_described_for_an_error_and_consumers_do_not() -> None:
    row = {**error_object(errors.Internal()), "surprise": 1}
    with pytest.raises(AssertionError, match="surprise"):
        check(row)
    Draft202012Validator(schemas.load("edgectl.error/v1")).validate(row)


@pytest.mark.parametrize("path", [["facts"], ["labels"]])
def test_they_look_into_objects_too(path: list[str]) -> None:
    row = shapes.node(node_pb2.Node(id="n", status=node_pb2.NODE_STATUS_OFFLINE))
    check(row)
    row[path[0]]["surprise"] = 1
    with pytest.raises(AssertionError):
        check(row)


def test_they_look_into_what_several_schemas_share() -> None:
    [piece] = EventsView(tally_of(WEB)).show([happening(ended(NEVER_STARTED))])
    row = json.loads(piece.data)
    for part in (row, row["node"], row["error"]):
        part["surprise"] = 1
        with pytest.raises(AssertionError):
            check(row)
        del part["surprise"]
    check(row)


def test_a_kind_of_event_that_nobody_described_is_an_error() -> None:
    [piece] = EventsView(tally_of(WEB)).show([happening(contact())])
    with pytest.raises(ValidationError):
        validator("edgectl.exec.event/v1").validate({**json.loads(piece.data), "type": "surprise"})


def test_a_field_that_is_promised_must_be_there() -> None:
    row = error_object(errors.Internal())
    del row["hint"]
    with pytest.raises(AssertionError, match="hint"):
        check(row)
