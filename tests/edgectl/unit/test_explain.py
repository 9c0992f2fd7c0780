"""Checks `edgectl explain`: a page for every schema, error code, outcome and exit code, and the nearest names else."""

from __future__ import annotations

import json
import signal

import pytest

from edge_wire import errors
from edgectl import schemas
from edgectl.__main__ import run
from edgectl.execution import exit_codes
from edgectl.explanations import list_topics
from edgectl.meanings import EXIT_CODES, OUTCOMES

CONTRACT_EXIT_CODES = [*range(11), 124, 130, 143, 255]


def explained(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(["explain", *words]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


@pytest.mark.parametrize("name", schemas.names())
def test_a_schema_is_printed_in_one_piece(capsys: pytest.CaptureFixture[str], name: str) -> None:
    printed = explained(capsys, name)
    assert json.loads(printed) == schemas.load(name)
    assert explained(capsys, name, "-o", "json") == printed
    assert explained(capsys, name.removesuffix("/v1")) == printed


def test_a_schema_may_be_called_by_what_it_is_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(explained(capsys, "node"))["title"] == "edgectl.node/v1"
    assert json.loads(explained(capsys, "exec.event", "-o", "jsonl"))["title"] == "edgectl.exec.event/v1"


def test_an_error_code_says_everything_about_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert explained(capsys, "database_unavailable").splitlines() == [
        "database_unavailable: error code",
        "The admin's database is down.",
        "exit code    9",
        "gRPC status  UNAVAILABLE",
        "repeatable   yes",
        "next         Repeat it once the admin's database is back.",
    ]


def test_a_code_is_an_object_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(explained(capsys, "cluster_exists", "-o", "json")) == {
        "schema": "edgectl.explanation/v1",
        "name": "cluster_exists",
        "meanings": [
            {
                "kind": "error",
                "meaning": "A cluster of that name exists.",
                "next": "edgectl cluster show NAME",
                "exit_code": 10,
                "grpc_status": "ALREADY_EXISTS",
                "retryable": False,
            }
        ],
    }


@pytest.mark.parametrize("code", [*errors.BY_CODE, *errors.EXECUTION_CODES])
def test_every_code_has_a_page_with_a_next_step(capsys: pytest.CaptureFixture[str], code: str) -> None:
    page = explained(capsys, code)
    assert f"\n{errors.default_message(errors.BY_CODE[code])}." in page if code in errors.BY_CODE else True
    assert f"\n{errors.EXECUTION_CODES[code]}" in page if code in errors.EXECUTION_CODES else True
    assert "\nnext         " in page


def test_a_word_with_several_meanings_shows_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    kinds = [item["kind"] for item in json.loads(explained(capsys, "cancelled", "-o", "json"))["meanings"]]
    assert kinds == ["execution_error", "outcome"]
    assert explained(capsys, "no_contact").count("no_contact: ") == 2


@pytest.mark.parametrize("word", OUTCOMES)
def test_every_outcome_is_explained(capsys: pytest.CaptureFixture[str], word: str) -> None:
    assert f"{word}: outcome of an execution\n{OUTCOMES[word].text}" in explained(capsys, word)


@pytest.mark.parametrize("code", CONTRACT_EXIT_CODES)
def test_every_exit_code_of_the_contract_is_explained(capsys: pytest.CaptureFixture[str], code: int) -> None:
    assert explained(capsys, str(code)).startswith(f"{code}: exit code of edgectl\n{EXIT_CODES[code].text}\n")


def test_no_error_ends_with_an_exit_code_that_nobody_explained() -> None:
    assert {kind.exit_code for kind in errors.BY_CODE.values()} <= set(EXIT_CODES)
    assert set(EXIT_CODES) == {*CONTRACT_EXIT_CODES, exit_codes.HUNG_UP, 128 + signal.SIGPIPE}


def test_without_a_name_everything_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(explained(capsys, "-o", "json"))
    assert [row["name"] for row in rows] == [topic.name for topic in list_topics()]
    assert {row["kind"] for row in rows} == {"schema", "error", "execution_error", "outcome", "exit_code"}
    assert all(row["meaning"].endswith(".") for row in rows)
    assert explained(capsys).splitlines()[0].split() == ["NAME", "KIND", "MEANING"]


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("node_ofline", "node_offline"),
        ("edgectl.node/v2", "edgectl.node/v1"),
        ("exec.events", "edgectl.exec.event/v1"),
        ("canceled", "cancelled"),
    ],
)
def test_what_is_unknown_is_not_found_and_the_nearest_names_are_said(
    capsys: pytest.CaptureFixture[str], word: str, near: str
) -> None:
    assert run(["explain", word]) == 5
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"edgectl: not_found: there is nothing called {word!r}; near it: ")
    assert near in printed.err


def test_what_is_like_nothing_is_just_not_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "\x1b[31mzzzz"]) == 5
    assert capsys.readouterr().err == ("edgectl: not_found: there is nothing called '\\x1b[31mzzzz'. edgectl explain\n")
