"""Checks the error table: scripts and peers depend on every code, status and exit code in it."""

from __future__ import annotations

import re

import grpc
import pytest

from edge_wire import errors
from edge_wire.errors import BY_CODE, EdgeError, Internal, NodeNotFound, NodeOffline, Started, from_code

CONTRACT_EXIT_CODES = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 130}
EVERY_CLASS = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, EdgeError)]
every_class = pytest.mark.parametrize("kind", EVERY_CLASS, ids=lambda kind: kind.__name__)


def test_every_code_belongs_to_one_class_and_only_the_root_shares_its_own() -> None:
    codes = [kind.code for kind in EVERY_CLASS if kind is not Internal]
    assert sorted(codes) == sorted(set(codes))
    assert Internal.code == EdgeError.code == "internal"


@every_class
def test_a_code_is_one_word_in_snake_case(kind: type[EdgeError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)


@every_class
def test_the_docstring_is_a_default_message_of_one_clause(kind: type[EdgeError]) -> None:
    assert "__doc__" in vars(kind)
    message = kind().message
    assert message == str(kind())
    assert message[0].isupper()
    assert not message.endswith(".")
    assert "\n" not in message


@every_class
def test_the_exit_code_is_one_of_the_contract(kind: type[EdgeError]) -> None:
    assert kind.exit_code in CONTRACT_EXIT_CODES


@every_class
def test_the_status_is_a_failure_that_grpc_knows(kind: type[EdgeError]) -> None:
    assert kind.status in set(grpc.StatusCode.__members__) - {"OK"}


@every_class
def test_nothing_is_repeated_when_it_is_unknown_whether_something_started(kind: type[EdgeError]) -> None:
    assert not kind(started="unknown").may_be_repeated
    assert kind(started="no").may_be_repeated == kind.retryable


@pytest.mark.parametrize(("code", "kind"), BY_CODE.items())
def test_a_code_brings_back_its_class(code: str, kind: type[EdgeError]) -> None:
    assert kind.code == code
    assert type(from_code(code, "why")) is kind


@pytest.mark.parametrize("started", ["no", "yes", "unknown"])
def test_everything_else_comes_back_as_it_was(started: Started) -> None:
    error = from_code("node_offline", "edge11 is offline", hint="wait", started=started, request_id="r-7")
    assert isinstance(error, NodeOffline)
    assert (error.message, error.hint, error.started, error.request_id) == (
        "edge11 is offline",
        "wait",
        started,
        "r-7",
    )


def test_a_code_of_a_newer_peer_becomes_an_internal_error_with_its_message() -> None:
    error = from_code("node_on_the_moon", "too far away", request_id="r-7")
    assert type(error) is Internal
    assert (error.message, error.exit_code, error.request_id) == ("too far away", 1, "r-7")
    assert not error.may_be_repeated


def test_an_empty_message_from_the_wire_becomes_the_default_message() -> None:
    assert from_code("node_not_found", "").message == "There is no such node"


def test_a_special_case_is_caught_with_its_general_case() -> None:
    with pytest.raises(errors.NotFound, match="there is no node edge11"):
        raise NodeNotFound("there is no node edge11")
