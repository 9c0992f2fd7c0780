"""Checks what an operator may ask of a command, and what a node may say of its end."""

from __future__ import annotations

from datetime import timedelta

import pytest

from edge_server.commands.checks import check_spec
from edge_server.commands.convert import kill_after, outcome_from_node, portion, start_order
from edge_server.commands.domain import Outcome
from edge_server.commands.pacing import Portion
from edge_wire.errors import ArgvInvalid, InvalidValue
from edge_wire.timestamps import to_duration
from edge_wire.v1 import command_pb2 as pb


def argv(*words: str) -> pb.CommandSpec:
    return pb.CommandSpec(argv=pb.Argv(arguments=words))


def lasting(**spans: timedelta) -> pb.CommandSpec:
    spec = argv("uptime")
    for name, span in spans.items():
        getattr(spec, name).FromTimedelta(span)
    return spec


GOOD = [
    argv("uptime"),
    argv("echo", "", "ü\n"),
    pb.CommandSpec(shell="df -h | sort"),
    pb.CommandSpec(shell="x" * 512 * 1024),
    lasting(timeout=timedelta(seconds=1), kill_after=timedelta(0), contact_timeout=timedelta(0)),
    pb.CommandSpec(shell="true", fanout=pb.Portion(percent=100)),
]
BAD = [
    (pb.CommandSpec(), "no command"),
    (argv(), "no command"),
    (argv("", "x"), "no command"),
    (pb.CommandSpec(shell=" \n"), "no command"),
    (argv("echo", "a\0b"), "NUL"),
    (argv("true", *[""] * 50_000), "50001 arguments"),
    (pb.CommandSpec(shell="x" * (512 * 1024 + 1)), "524289 bytes"),
    (argv("echo", "ü" * 300_000), "600004 bytes"),
    (pb.CommandSpec(shell="true", name="n" * 101), "at most 100"),
    (pb.CommandSpec(shell="true", fanout=pb.Portion(count=0)), "at least 1"),
    (pb.CommandSpec(shell="true", fanout=pb.Portion(percent=0)), "from 1% to 100%"),
    (pb.CommandSpec(shell="true", fanout=pb.Portion(percent=101)), "from 1% to 100%"),
    (lasting(timeout=timedelta(0)), "longer than 0"),
    (lasting(timeout=timedelta(seconds=-1)), "between 0 and 365 days"),
    (lasting(kill_after=timedelta(days=366)), "between 0 and 365 days"),
    (lasting(contact_timeout=timedelta(seconds=-1)), "between 0 and 365 days"),
]


ARGV_MISTAKES = {"no command", "NUL", "524289 bytes", "600004 bytes", "50001 arguments"}


@pytest.mark.parametrize("spec", GOOD, ids=range(len(GOOD)))
def test_what_can_be_meant_is_accepted(spec: pb.CommandSpec) -> None:
    check_spec(spec)


@pytest.mark.parametrize(("spec", "mistake"), BAD, ids=[str(place) for place in range(len(BAD))])
def test_what_cannot_be_meant_is_refused(spec: pb.CommandSpec, mistake: str) -> None:
    with pytest.raises(InvalidValue, match=mistake) as raised:
        check_spec(spec)
    assert isinstance(raised.value, ArgvInvalid) == (mistake in ARGV_MISTAKES)


def test_a_duration_beyond_all_bounds_is_refused() -> None:
    spec = argv("uptime")
    spec.timeout.seconds = 2**62
    with pytest.raises(InvalidValue):
        check_spec(spec)


def test_a_fanout_is_a_number_a_percentage_or_the_default() -> None:
    assert portion(pb.Portion(count=7)) == Portion(count=7)
    assert portion(pb.Portion(percent=25)) == Portion(percent=25)
    assert portion(pb.Portion()) == Portion()


def test_a_node_is_told_the_program_its_time_and_its_first_credit() -> None:
    spec = pb.CommandSpec(shell="sleep 9", timeout=to_duration(timedelta(seconds=3)), exact_output=True)
    order = start_order(spec, 65536)
    assert (order.shell, order.timeout.seconds, order.kill_after.seconds) == ("sleep 9", 3, 10)
    assert (order.exact_output, order.credit) == (True, 65536)
    assert not start_order(argv("uptime"), 0).HasField("timeout")
    assert kill_after(lasting(kill_after=timedelta(0))) == timedelta(0)


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (pb.OUTCOME_OK, Outcome.OK),
        (pb.OUTCOME_FAILED, Outcome.FAILED),
        (pb.OUTCOME_TIMED_OUT, Outcome.TIMED_OUT),
        (pb.OUTCOME_CANCELLED, Outcome.CANCELLED),
        (pb.OUTCOME_LOST, Outcome.LOST),
        (pb.OUTCOME_OFFLINE, Outcome.FAILED),
        (pb.OUTCOME_DROPPED, Outcome.FAILED),
        (pb.OUTCOME_UNSPECIFIED, Outcome.FAILED),
    ],
)
def test_a_node_says_only_what_a_node_can_know(said: pb.Outcome.ValueType, outcome: Outcome) -> None:
    assert outcome_from_node(pb.ExecutionEnd(outcome=said)) is outcome
