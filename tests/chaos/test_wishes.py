"""What operators ask for: a pure function of the seed, and the words and marks that come of it."""

from __future__ import annotations

import os
import subprocess
from itertools import islice
from pathlib import Path

import pytest

from edge_wire.v1 import command_pb2 as pb
from tests.chaos import payload
from tests.chaos.ledger import Account, End
from tests.chaos.payload import Ending, Mark, read_marks
from tests.chaos.wishes import Wish, narrowed, wishes
from tests.chaos.work import create_request, exec_words, take_lines

NODES = [f"edge{number:02}" for number in range(1, 11)]


def some_wishes(count: int = 400, operator: str = "cli1", *, brings_stdin: bool = True) -> list[Wish]:
    return list(islice(wishes(1, operator, NODES, brings_stdin=brings_stdin), count))


def test_the_same_seed_and_operator_ask_the_same() -> None:
    assert some_wishes() == some_wishes()
    assert [wish.nodes for wish in some_wishes()] != [wish.nodes for wish in some_wishes(operator="cli2")]


def test_tokens_are_unique() -> None:
    tokens = [wish.token for operator in ("cli1", "cli2", "api1") for wish in some_wishes(operator=operator)]
    assert len(set(tokens)) == len(tokens)


def test_everything_that_may_be_asked_for_is_asked_for() -> None:
    asked = some_wishes()
    for name in ("timeout", "deadline", "expires", "batch", "fanout", "max_errors", "cancel_after"):
        assert any(getattr(wish, name) is not None for wish in asked), name
    assert {wish.offline for wish in asked} == {"fail", "skip", "queue"}
    assert any(wish.stdin_bytes for wish in asked)
    assert {bool(wish.ending.signal) for wish in asked} == {True, False}
    assert any(wish.is_detached for wish in asked)
    assert any(wish.is_one_node for wish in asked)


def test_who_leaves_or_cannot_brings_no_stdin() -> None:
    assert not any(wish.stdin_bytes for wish in some_wishes() if wish.is_detached)
    assert not any(wish.stdin_bytes for wish in some_wishes(brings_stdin=False))


def test_a_narrowed_wish_is_another_command_on_fewer_nodes_at_another_admin() -> None:
    wish = Wish(token="t", nodes=("a", "b", "c", "d"), seconds=1, ending=Ending(exit_code=0), admin=0)
    steps = [narrowed(wish, attempt) for attempt in (1, 2, 3, 4)]
    assert [len(step.nodes) for step in steps] == [2, 2, 1, 1]
    assert [step.admin % 2 for step in steps] == [1, 0, 1, 0]
    assert len({step.token for step in steps}) == 4


def test_words_and_request_say_the_same() -> None:
    wish = Wish(
        token="t",
        nodes=("a", "b"),
        seconds=0.5,
        ending=Ending(exit_code=3),
        timeout=1.5,
        offline="queue",
        expires=2.0,
        batch=1,
        max_errors=0,
    )
    words = exec_words(wish, Path("in"))
    assert words[:2] == ["a", "b"]
    for pair in (["--request-id", "t"], ["--timeout", "1.5s"], ["--max-errors", "0"], ["--stdin", "in"]):
        assert any(words[index : index + 2] == pair for index in range(len(words))), pair
    request = create_request(wish)
    assert request.request_id == "t"
    assert request.spec.timeout.ToMilliseconds() == 1500
    assert request.spec.offline == pb.OFFLINE_POLICY_QUEUE
    assert request.spec.HasField("max_errors")
    assert request.spec.max_errors.count == 0
    assert not request.spec.HasField("deadline")


@pytest.mark.parametrize(
    ("ending", "code"), [(Ending(exit_code=0), 0), (Ending(exit_code=7), 7), (Ending(signal="SIGKILL"), -9)]
)
def test_the_process_marks_its_beginning_and_how_it_ends(tmp_path: Path, ending: Ending, code: int) -> None:
    path = tmp_path / "marks"
    environ = {**os.environ, payload.FILE_VARIABLE: str(path), "EDGE_EXECUTION_ID": "e1"}
    argv = payload.argv("t", seconds=0, ending=ending, output_bytes=50_000, stdin_bytes=4)
    done = subprocess.run(argv, env=environ, input=b"four", capture_output=True, timeout=20, check=False)
    assert done.returncode == code
    assert done.stdout.startswith(payload.unique_line("t", "e1"))
    assert len(done.stdout) == payload.printed_size("t", "e1", 50_000)
    assert read_marks(path.read_text().splitlines()) == [
        Mark(word="begin", token="t", execution_id="e1"),
        Mark(word="end", token="t", execution_id="e1", ending=ending, stdin_bytes=4),
    ]


def test_a_line_that_is_no_mark_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="not a mark"):
        read_marks(["begin t"])


def test_what_edgectl_says_is_taken_down() -> None:
    account = Account(wish=Wish(token="t", nodes=("a",), seconds=1, ending=Ending(exit_code=0)))
    event = '{"schema":"edgectl.exec.event/v1","command":"c1","node":{"id":"n","name":"a"},"type":"end",'
    event += '"outcome":"failed","exit_code":null,"signal":"SIGKILL"}'
    error = '{"schema":"edgectl.error/v1","code":"unavailable"}'
    take_lines(account, f'edgectl: noise\n{event}\n{error}\n{{"schema":"cut')
    assert account.answers == ["c1"]
    assert account.errors == ["unavailable"]
    assert account.ends == {"a": End(outcome="failed", signal="SIGKILL")}
