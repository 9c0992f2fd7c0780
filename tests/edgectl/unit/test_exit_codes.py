"""Checks the exit codes row by row, after the table of the command line's contract."""

from __future__ import annotations

import pytest

from edge_wire import errors
from edge_wire.errors import EdgeError, Started
from edge_wire.v1 import command_pb2 as pb
from edgectl.execution import exit_codes
from edgectl.execution.exit_codes import of_fleet, of_one_node, one_node_failure
from edgectl.execution.tally import OUTCOMES
from edgectl.execution.wishes import Pace, Wishes
from edgectl.selectors import SelectorWords
from tests.edgectl.unit.events import exited, killed, ok, standing

EDGES = SelectorWords(nodes=["edge[01-40]"])
FLEET = Wishes(selector=EDGES)
SKIPPING = Wishes(selector=EDGES, pace=Pace(offline="skip"))


def counts(**some: int) -> dict[str, int]:
    return {**dict.fromkeys(OUTCOMES, 0), "total": sum(some.values()), **some}


@pytest.mark.parametrize(
    ("counted", "code"),
    [
        (counts(ok=40), 0),
        (counts(ok=39, failed=1), 3),
        (counts(ok=39, timed_out=1), 3),
        (counts(ok=39, cancelled=1), 3),
        (counts(ok=39, offline=1), 4),
        (counts(ok=39, no_contact=1), 4),
        (counts(ok=39, expired=1), 4),
        (counts(ok=39, dropped=1), 4),
        (counts(ok=39, lost=1), 4),
        (counts(ok=37, failed=1, cancelled=1, lost=1), 4),
        (counts(failed=40), 3),
    ],
)
def test_a_fleets_code_is_that_of_its_worst_outcome(counted: dict[str, int], code: int) -> None:
    assert of_fleet(counted, FLEET) == code


@pytest.mark.parametrize("outcome", [word for word in OUTCOMES if word != "ok"])
def test_a_fleet_succeeds_only_when_every_target_did(outcome: str) -> None:
    assert of_fleet(counts(ok=39, **{outcome: 1}), FLEET) != 0


def test_a_fleet_with_an_execution_that_never_ended_did_not_succeed() -> None:
    assert of_fleet(counts(ok=39, total=40), FLEET) != 0


@pytest.mark.parametrize(
    ("counted", "code"),
    [(counts(ok=1, offline=39), 0), (counts(offline=40), 0), (counts(offline=39, failed=1), 3), (counts(lost=1), 4)],
)
def test_skipped_offline_nodes_do_not_count(counted: dict[str, int], code: int) -> None:
    assert of_fleet(counted, SKIPPING) == code


def test_the_policies_hold_for_one_node_too() -> None:
    as_fleet = Wishes(selector=SelectorWords(nodes=["web-1"]), exit_policy="fleet")
    as_none = Wishes(selector=SelectorWords(nodes=["web-1"]), exit_policy="none")
    for outcome in ("failed", "offline", "lost"):
        assert of_fleet(counts(**{outcome: 1}), as_fleet) in {3, 4}
        assert of_fleet(counts(**{outcome: 1}), as_none) == 0


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.Internal, 1),
        (errors.UsageError, 2),
        (errors.InvalidValue, 2),
        (errors.NodeOffline, 4),
        (errors.NoContact, 4),
        (errors.ExecutionExpired, 4),
        (errors.ExecutionDropped, 4),
        (errors.ExecutionLost, 4),
        (errors.NotFound, 5),
        (errors.NodesNotMatched, 5),
        (errors.NotLoggedIn, 6),
        (errors.Unauthenticated, 6),
        (errors.CredentialExpired, 6),
        (errors.Denied, 7),
        (errors.ExecutionNotStarted, 8),
        (errors.Unavailable, 9),
        (errors.TooManyAttempts, 9),
        (errors.Conflict, 10),
    ],
)
def test_an_error_has_the_code_of_its_row(kind: type[EdgeError], code: int) -> None:
    assert kind.exit_code == code


def test_being_stopped_has_the_codes_of_its_rows() -> None:
    assert (exit_codes.TIMED_OUT, exit_codes.INTERRUPTED, exit_codes.TERMINATED) == (124, 130, 143)


@pytest.mark.parametrize("code", [0, 1, 2, 127, 254, 255])
def test_one_nodes_own_code_passes_through(code: int) -> None:
    assert of_one_node(standing(exited(code) if code else ok())) == code


@pytest.mark.parametrize(
    ("signal", "code"), [("SIGHUP", 129), ("SIGINT", 130), ("SIGKILL", 137), ("SIGTERM", 143), ("SIG64", 192)]
)
def test_a_signal_is_128_and_its_number(signal: str, code: int) -> None:
    assert of_one_node(standing(killed(signal))) == code


def test_a_signal_that_nobody_knows_is_a_failure_nonetheless() -> None:
    assert of_one_node(standing(killed("SIGNOVA"))) == 255


def test_a_time_out_is_124_whatever_the_signal_was() -> None:
    end = pb.ExecutionEnd(outcome=pb.OUTCOME_TIMED_OUT, signal="SIGKILL")
    assert of_one_node(standing(end)) == 124


def test_a_cancelled_program_has_its_own_code() -> None:
    assert of_one_node(standing(pb.ExecutionEnd(outcome=pb.OUTCOME_CANCELLED, signal="SIGTERM"))) == 143
    assert of_one_node(standing(pb.ExecutionEnd(outcome=pb.OUTCOME_CANCELLED, exit_code=5))) == 5


def test_a_program_that_could_not_be_started_has_no_code() -> None:
    assert of_one_node(standing(pb.ExecutionEnd(outcome=pb.OUTCOME_FAILED))) == 255


@pytest.mark.parametrize(
    ("outcome", "kind", "started"),
    [
        (pb.OUTCOME_OFFLINE, errors.NodeOffline, "no"),
        (pb.OUTCOME_NOT_STARTED, errors.ExecutionNotStarted, "no"),
        (pb.OUTCOME_EXPIRED, errors.ExecutionExpired, "no"),
        (pb.OUTCOME_DROPPED, errors.ExecutionDropped, "unknown"),
        (pb.OUTCOME_LOST, errors.ExecutionLost, "unknown"),
    ],
)
def test_without_a_remote_code_it_is_255_and_an_error_says_why(
    outcome: pb.Outcome.ValueType, kind: type[EdgeError], started: Started
) -> None:
    item = standing(pb.ExecutionEnd(outcome=outcome))
    failure = one_node_failure(item)
    assert of_one_node(item) == 255
    assert type(failure) is kind
    assert failure.started == started
    assert failure.message.startswith("web-1: ")


def test_a_node_out_of_contact_is_255_and_may_have_started() -> None:
    item = standing(None, has_contact=False)
    failure = one_node_failure(item)
    assert of_one_node(item) == 255
    assert isinstance(failure, errors.NoContact)
    assert failure.started == "unknown"


def test_the_nodes_own_words_are_in_the_error() -> None:
    failure = one_node_failure(standing(pb.ExecutionEnd(outcome=pb.OUTCOME_LOST, error_message="the runner died")))
    assert failure is not None
    assert failure.message == "web-1: the runner died"


def test_output_with_a_hole_is_never_a_success() -> None:
    item = standing(ok(), has_gap=True)
    failure = one_node_failure(item)
    assert of_one_node(item) == 255
    assert isinstance(failure, errors.OutputIncomplete)
    assert failure.started == "yes"


@pytest.mark.parametrize("end", [ok(), exited(3), killed("SIGKILL")])
def test_a_code_that_tells_the_truth_needs_no_error(end: pb.ExecutionEnd) -> None:
    assert one_node_failure(standing(end)) is None


def test_one_offline_node_that_may_be_skipped_is_0_and_needs_no_error() -> None:
    item = standing(pb.ExecutionEnd(outcome=pb.OUTCOME_OFFLINE))
    assert of_one_node(item, offline="skip") == 0
    assert one_node_failure(item, offline="skip") is None
    lost = standing(pb.ExecutionEnd(outcome=pb.OUTCOME_LOST))
    assert of_one_node(lost, offline="skip") == 255
