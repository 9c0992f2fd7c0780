"""The verdict: a run without lies is clean, and each kind of lie breaks the claim that forbids it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.chaos.ledger import Account, Command, Death, End, Evidence, Execution, Session
from tests.chaos.payload import Ending, Mark, printed_size, unique_line
from tests.chaos.verdict import CLAIMS, judge
from tests.chaos.wishes import Wish

BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)
ENDED = BEGAN + timedelta(seconds=9)
LONG_BEFORE = BEGAN - timedelta(minutes=1)

WISH = Wish(token="t", nodes=("a", "b"), seconds=1, ending=Ending(exit_code=0), stdin_bytes=5)
COMMAND = Command(id="c", request_id="t", created_at=BEGAN, cancelled_at=None, finished_at=ENDED)
ON_A = Execution(
    id="c-a",
    command_id="c",
    node="a",
    state="ended",
    outcome="ok",
    started=True,
    exit_code=0,
    ended_at=ENDED,
    stdout_bytes=printed_size("t", "c-a", 0),
)
ON_B = replace(ON_A, id="c-b", node="b", outcome="offline", started=False, exit_code=None, stdout_bytes=0)
BEGIN_A = Mark(word="begin", token="t", execution_id="c-a")
END_A = Mark(word="end", token="t", execution_id="c-a", ending=Ending(exit_code=0), stdin_bytes=5)


def truth() -> Evidence:
    """One command on two nodes: it ended well on the first, the second was offline."""
    account = Account(
        wish=WISH,
        answers=["c"],
        created=1,
        ends={"a": End(outcome="ok", exit_code=0), "b": End(outcome="offline")},
        received=Counter(a=ON_A.stdout_bytes),
        exit_code=4,
        is_finished=True,
    )
    return Evidence(
        marks={"a": [BEGIN_A, END_A], "b": []},
        commands=[COMMAND],
        executions=[ON_A, ON_B],
        outputs={"c-a": [(0, unique_line("t", "c-a"))]},
        accounts=[account],
        deaths=[],
        journals={"a": [], "b": []},
    )


def on_a(**changes: object) -> Evidence:
    """The truth, but with another row for the first node, of which nobody was told."""
    said = truth()
    said.accounts[0].ends.clear()
    said.accounts[0].exit_code = None
    return replace(said, executions=[replace(ON_A, **changes), ON_B])  # type: ignore[arg-type]  # any field


def wishing(evidence: Evidence, **changes: object) -> Evidence:
    """The same, asked for differently."""
    evidence.accounts[0].wish = replace(evidence.accounts[0].wish, **changes)  # type: ignore[arg-type]  # any field
    return evidence


def told(**changes: object) -> Evidence:
    """The truth, but the client was told otherwise."""
    said = truth()
    for name, value in changes.items():
        setattr(said.accounts[0], name, value)
    return said


def lost(*deaths: Death) -> Evidence:
    """Lost on the first node in the middle of its process."""
    found = on_a(outcome="lost", exit_code=None, truncated=True)
    return replace(found, marks={"a": [BEGIN_A]}, deaths=list(deaths))


def ended_as(ending: Ending, **changes: object) -> Evidence:
    """The process on the first node ended so, and the row says something."""
    return replace(on_a(**changes), marks={"a": [BEGIN_A, replace(END_A, ending=ending)]})


def apart() -> Evidence:
    """Never started on the first node, as its stdin was brought to another admin."""
    found = on_a(outcome="not_started", started=False, exit_code=None, error_code="node_on_other_admin")
    return replace(found, marks={})


IN_TIME = Death(node="a", at=BEGAN + timedelta(seconds=5))

TRUTHS: dict[str, Callable[[], Evidence]] = {
    "the plain case": truth,
    "lost where the runner died": lambda: lost(IN_TIME),
    "failed by the signal that it sent itself": lambda: ended_as(
        Ending(signal="SIGKILL"), outcome="failed", exit_code=None, signal="SIGKILL"
    ),
    "failed without a start": lambda: replace(
        on_a(outcome="failed", started=False, exit_code=None, error_code="journal_full"), marks={}
    ),
    "not started where its stdin is not": apart,
    "cancelled before its end": lambda: replace(
        on_a(outcome="cancelled", exit_code=None, signal="SIGTERM"),
        marks={"a": [BEGIN_A]},
        commands=[replace(COMMAND, cancelled_at=ENDED)],
        accounts=[Account(wish=WISH, is_cancelled=True)],
    ),
    "told lost and corrected later": lambda: told(
        ends={"a": End(outcome="lost"), "b": End(outcome="offline")}, exit_code=4
    ),
    "offline between two sessions": lambda: replace(
        truth(),
        sessions={"b": [Session(since=LONG_BEFORE, until=BEGAN), Session(since=ENDED, until=None)]},
    ),
    "a client that heard nothing": lambda: told(answers=[], created=0, ends={}, exit_code=9, is_finished=False),
    "output that was cut where the runner died": lambda: replace(on_a(truncated=True), outputs={}, deaths=[IN_TIME]),
    "output that was told to be missing": lambda: told(received=Counter(a=3), missed=Counter(a=ON_A.stdout_bytes - 3)),
    "asked for, and never accepted": lambda: replace(
        truth(),
        marks={},
        commands=[],
        executions=[],
        accounts=[Account(wish=WISH, errors=["node_on_other_admin"], exit_code=10)],
    ),
}

LIES: dict[str, tuple[str, Callable[[], Evidence]]] = {
    "it began twice": (
        "no execution ran twice",
        lambda: replace(truth(), marks={"a": [BEGIN_A, BEGIN_A, END_A]}),
    ),
    "two executions of one command on one node": (
        "no execution ran twice",
        lambda: replace(truth(), marks={"a": [BEGIN_A, replace(BEGIN_A, execution_id="c-x"), END_A]}),
    ),
    "it ran without a row": (
        "nothing ran that was not accepted",
        lambda: replace(truth(), commands=[], executions=[]),
    ),
    "it ran on the node of another": (
        "nothing ran that was not accepted",
        lambda: replace(truth(), marks={"b": [BEGIN_A, END_A]}),
    ),
    "a command that nobody asked for": (
        "nothing ran that was not accepted",
        lambda: replace(truth(), commands=[COMMAND, replace(COMMAND, id="d", request_id="other")]),
    ),
    "an execution without an end": (
        "every accepted command and execution has one final outcome",
        lambda: on_a(state="running", outcome=None, ended_at=None, exit_code=None),
    ),
    "an end without its time": (
        "every accepted command and execution has one final outcome",
        lambda: on_a(ended_at=None),
    ),
    "a command that is not finished": (
        "every accepted command and execution has one final outcome",
        lambda: replace(truth(), commands=[replace(COMMAND, finished_at=None)]),
    ),
    "a command without executions": (
        "every accepted command and execution has one final outcome",
        lambda: replace(truth(), executions=[]),
    ),
    "a node that was left out": (
        "every wanted node has exactly one execution",
        lambda: replace(truth(), executions=[ON_A]),
    ),
    "a node that is there twice": (
        "every wanted node has exactly one execution",
        lambda: replace(truth(), executions=[ON_A, ON_B, replace(ON_B, id="c-b2")]),
    ),
    "ok without an end": (
        "every recorded outcome and exit code is true",
        lambda: replace(truth(), marks={"a": [BEGIN_A]}),
    ),
    "ok without a beginning": ("every recorded outcome and exit code is true", lambda: replace(truth(), marks={})),
    "another exit code": (
        "every recorded outcome and exit code is true",
        lambda: ended_as(Ending(exit_code=3), outcome="failed", exit_code=4),
    ),
    "ok although it failed": (
        "every recorded outcome and exit code is true",
        lambda: ended_as(Ending(exit_code=3)),
    ),
    "failed although it ended well": (
        "every recorded outcome and exit code is true",
        lambda: on_a(outcome="failed"),
    ),
    "another signal": (
        "every recorded outcome and exit code is true",
        lambda: ended_as(Ending(signal="SIGKILL"), outcome="failed", exit_code=None, signal="SIGTERM"),
    ),
    "offline although it ran": (
        "every recorded outcome and exit code is true",
        lambda: on_a(outcome="offline", started=False, exit_code=None),
    ),
    "not started although it began": (
        "every recorded outcome and exit code is true",
        lambda: replace(on_a(outcome="not_started", started=False, exit_code=None), marks={"a": [BEGIN_A]}),
    ),
    "said not to have started although it ran": (
        "every recorded outcome and exit code is true",
        lambda: on_a(outcome="failed", started=False, exit_code=None),
    ),
    "a time-out with a code that nobody exited with": (
        "every recorded outcome and exit code is true",
        lambda: wishing(replace(on_a(outcome="timed_out", exit_code=9), marks={"a": [BEGIN_A]}), timeout=1.0),
    ),
    "cancelled by nobody": (
        "nothing ended in a way that nobody asked for",
        lambda: on_a(outcome="cancelled", exit_code=None, signal="SIGTERM"),
    ),
    "a command cancelled by nobody": (
        "nothing ended in a way that nobody asked for",
        lambda: replace(truth(), commands=[replace(COMMAND, cancelled_at=ENDED)]),
    ),
    "timed out without a time-out": (
        "nothing ended in a way that nobody asked for",
        lambda: on_a(outcome="timed_out", exit_code=None, signal="SIGTERM"),
    ),
    "offline although it may wait": (
        "nothing ended in a way that nobody asked for",
        lambda: wishing(truth(), offline="queue"),
    ),
    "expired without a queue": (
        "nothing ended in a way that nobody asked for",
        lambda: replace(on_a(outcome="expired", started=False, exit_code=None), marks={}),
    ),
    "dropped without a deletion": (
        "nothing ended in a way that nobody asked for",
        lambda: replace(on_a(outcome="dropped", started=False, exit_code=None), marks={}),
    ),
    "stdin with another admin, and there is none": (
        "nothing ended in a way that nobody asked for",
        lambda: wishing(apart(), stdin_bytes=0),
    ),
    "lost although no runner died": ("lost only where a runner died", lost),
    "lost although another node's runner died": (
        "lost only where a runner died",
        lambda: lost(replace(IN_TIME, node="b")),
    ),
    "lost although the runner died before": (
        "lost only where a runner died",
        lambda: lost(replace(IN_TIME, at=BEGAN - timedelta(seconds=5))),
    ),
    "lost although the runner died after": (
        "lost only where a runner died",
        lambda: lost(replace(IN_TIME, at=ENDED + timedelta(seconds=5))),
    ),
    "told another outcome": (
        "clients were told the truth",
        lambda: told(ends={"a": End(outcome="failed", exit_code=0)}),
    ),
    "told another exit code": ("clients were told the truth", lambda: told(ends={"a": End(outcome="ok", exit_code=1)})),
    "told of an end on a node that has none": (
        "clients were told the truth",
        lambda: told(ends={"z": End(outcome="ok", exit_code=0)}),
    ),
    "edgectl said that all is well": ("clients were told the truth", lambda: told(exit_code=0)),
    "edgectl said that every node was reached": ("clients were told the truth", lambda: told(exit_code=3)),
    "edgectl said that a deadline was reached": ("clients were told the truth", lambda: told(exit_code=124)),
    "edgectl passed on another code": (
        "clients were told the truth",
        lambda: wishing(told(exit_code=5), nodes=("a",)),
    ),
    "an answer that is not stored": (
        "an answer is kept, and a repeated request makes nothing new",
        lambda: replace(truth(), commands=[], executions=[], marks={}),
    ),
    "two answers": (
        "an answer is kept, and a repeated request makes nothing new",
        lambda: told(answers=["c", "d"]),
    ),
    "made twice": ("an answer is kept, and a repeated request makes nothing new", lambda: told(created=2)),
    "two commands of one request": (
        "an answer is kept, and a repeated request makes nothing new",
        lambda: replace(truth(), commands=[COMMAND, replace(COMMAND, id="d")]),
    ),
    "output without its line": (
        "the output of what came to its end is stored",
        lambda: replace(truth(), outputs={"c-a": [(0, b"something else\n")]}),
    ),
    "no output": ("the output of what came to its end is stored", lambda: replace(truth(), outputs={})),
    "output that does not begin at its beginning": (
        "the output of what came to its end is stored",
        lambda: replace(truth(), outputs={"c-a": [(4, unique_line("t", "c-a"))]}),
    ),
    "output that stops early": (
        "the output of what came to its end is stored",
        lambda: wishing(on_a(stdout_bytes=printed_size("t", "c-a", 100)), output_bytes=100),
    ),
    "bytes that nobody counted": ("the output of what came to its end is stored", lambda: on_a(stdout_bytes=0)),
    "output that was cut for no reason": (
        "output is cut only where a runner died",
        lambda: replace(on_a(truncated=True), outputs={}),
    ),
    "bytes that a client never saw": (
        "a client that heard an end received every byte, or was told which not",
        lambda: told(received=Counter(a=1)),
    ),
    "an exact copy with a hole": (
        "a client that heard an end received every byte, or was told which not",
        lambda: wishing(
            told(received=Counter(a=1), missed=Counter(a=ON_A.stdout_bytes - 1), exit_code=0), nodes=("a",)
        ),
    ),
    "a journal that forgot": (
        "lost only where a runner died",
        lambda: replace(
            lost(IN_TIME),
            executions=[replace(ON_A, outcome="lost", exit_code=None, error_code="unknown_to_node"), ON_B],
        ),
    ),
    "stdin cut short": (
        "what ended well had all of its stdin",
        lambda: replace(truth(), marks={"a": [BEGIN_A, replace(END_A, stdin_bytes=4)]}),
    ),
    "offline although it had a session to the end": (
        "offline only where there was no session",
        lambda: replace(truth(), sessions={"b": [Session(since=LONG_BEFORE, until=None)]}),
    ),
    "offline although it had a session long after": (
        "offline only where there was no session",
        lambda: replace(truth(), sessions={"b": [Session(since=LONG_BEFORE, until=ENDED + timedelta(minutes=1))]}),
    ),
    "a node without a session": ("every node is back", lambda: replace(truth(), holders={"a": "admin", "b": ""})),
    "a process that still runs": (
        "nothing is left behind on the nodes",
        lambda: replace(truth(), processes=["a c-a pid 7"]),
    ),
    "a journal that is not empty": (
        "nothing is left behind on the nodes",
        lambda: replace(truth(), journals={"a": ["c-a"]}),
    ),
    "a client that waits on": ("nobody waits for what is over", lambda: replace(truth(), waiting=["t"])),
    "an internal error": ("nobody met an internal error", lambda: told(errors=["internal"])),
}


@pytest.mark.parametrize("case", TRUTHS)
def test_the_truth_is_clean(case: str) -> None:
    assert judge(TRUTHS[case]()) == []


@pytest.mark.parametrize("case", LIES)
def test_a_lie_is_found(case: str) -> None:
    claim, evidence = LIES[case]
    assert claim in {violation.claim for violation in judge(evidence())}


def test_every_claim_has_a_lie_that_breaks_it() -> None:
    assert {claim for claim, _ in LIES.values()} == set(CLAIMS)
