"""Checks how transitions reach the database: guarded, in batches, and closing commands that are over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy.orm import Session

from edge_server.commands import repository, storing
from edge_server.commands.domain import Event, Outcome, State
from edge_server.commands.output import Codec, unpack
from edge_server.commands.run import LiveExecution
from edge_server.commands.transition import StoredOutput, Transition, end_values
from edge_server.db.database import Database
from edge_server.nodes.domain import NodeId
from edge_wire.v1 import command_pb2 as pb
from tests.edge_server.command_rows import add_command, happened, is_finished, reported, sent, standing, started
from tests.edge_server.fleet import NOON
from tests.support.databases import count_waiting
from tests.support.eventually import eventually

PENDING, SENT, RUNNING, ENDED = State.PENDING, State.SENT, State.RUNNING, State.ENDED


@pytest.fixture
async def stored(db: Database) -> Database:
    """A command of two executions: `c1-0` and `c1-1`."""
    await db.write(lambda tx: add_command(tx, "c1", "oslo", "bergen"))
    return db


async def apply(db: Database, *transitions: Transition) -> dict[str, State | LiveExecution | None]:
    """Where each execution stands afterwards: its state, or how somebody else ended it."""
    stored = await db.write(lambda tx: storing.apply(tx, transitions, NOON))
    return {name: found.other_end or found.state for name, found in stored.items()}


async def test_a_life_in_steps_ends_the_command_with_its_last_execution(stored: Database) -> None:
    assert await apply(stored, sent("c1-0")) == {"c1-0": SENT}
    await apply(stored, started("c1-0"))
    assert await standing(stored, "c1") == [(RUNNING, None), (PENDING, None)]
    await apply(stored, reported("c1-0"))
    assert not await is_finished(stored, "c1")
    await apply(stored, reported("c1-1", Outcome.FAILED))
    assert await standing(stored, "c1") == [(ENDED, Outcome.OK), (ENDED, Outcome.FAILED)]
    assert await is_finished(stored, "c1")


async def test_a_whole_life_may_come_in_one_batch_in_any_order(stored: Database) -> None:
    await apply(stored, reported("c1-0"), sent("c1-1"), started("c1-0"), sent("c1-0"))
    assert await standing(stored, "c1") == [(ENDED, Outcome.OK), (SENT, None)]


async def test_what_ended_stays_as_it_ended(stored: Database) -> None:
    await apply(stored, reported("c1-0", Outcome.TIMED_OUT))
    late = (reported("c1-0", Outcome.OK), started("c1-0"), happened(Event.DROP, "c1-0", outcome="lost"))
    found = (await apply(stored, *late))["c1-0"]
    assert isinstance(found, LiveExecution)
    assert found.outcome is Outcome.TIMED_OUT
    assert (await standing(stored, "c1"))[0] == (ENDED, Outcome.TIMED_OUT)


async def test_what_was_cancelled_before_it_was_sent_is_not_sent(stored: Database) -> None:
    assert await stored.write(lambda tx: repository.withhold_pending(tx, "c1", NOON)) == 2
    found = (await apply(stored, sent("c1-0")))["c1-0"]
    assert isinstance(found, LiveExecution)
    assert found.outcome is Outcome.NOT_STARTED
    assert await standing(stored, "c1") == [(ENDED, Outcome.NOT_STARTED)] * 2


async def test_sending_what_runs_already_still_counts_as_sent(stored: Database) -> None:
    await apply(stored, sent("c1-0"), started("c1-0"))
    assert await apply(stored, sent("c1-0")) == {"c1-0": RUNNING}
    assert (await standing(stored, "c1"))[0] == (RUNNING, None)


async def test_an_execution_that_nobody_knows_disturbs_nothing(stored: Database) -> None:
    assert await apply(stored, sent("c9-0")) == {"c9-0": None}
    assert await standing(stored, "c1") == [(PENDING, None)] * 2


async def test_output_is_stored_with_the_end_and_once(stored: Database) -> None:
    first = StoredOutput(stream="stdout", head=b"\x00hello\xff", tail=b"end", tail_offset=99)
    await apply(stored, reported("c1-0")._replace(outputs=[first]))
    again = StoredOutput(stream="stdout", head=b"again", tail=b"", tail_offset=0)
    await apply(stored, reported("c1-0")._replace(outputs=[again]))
    [row] = await stored.read(lambda tx: repository.list_outputs(tx, ["c1-0", "c1-1"]))
    assert (row.codec, row.head, row.tail, row.tail_offset) == ("", b"\x00hello\xff", b"end", 99)


async def test_output_of_an_end_that_somebody_else_stored_is_not_kept(stored: Database) -> None:
    await apply(stored, reported("c1-0", Outcome.TIMED_OUT))
    late = StoredOutput(stream="stdout", head=b"late", tail=b"", tail_offset=0)
    await apply(stored, reported("c1-0")._replace(outputs=[late]))
    assert await stored.read(lambda tx: repository.list_outputs(tx, ["c1-0"])) == []


async def test_long_output_is_packed(stored: Database) -> None:
    text = b"one line like another\n" * 10_000
    await apply(
        stored,
        reported("c1-0")._replace(outputs=[StoredOutput(stream="stdout", head=text, tail=text, tail_offset=10**9)]),
    )
    [row] = await stored.read(lambda tx: repository.list_outputs(tx, ["c1-0"]))
    assert len(row.head) + len(row.tail) < 10_000
    assert unpack(Codec(row.codec), row.head, row.tail) == (text, text)


async def test_a_batch_that_is_written_again_changes_nothing(stored: Database) -> None:
    """As after a commit of which nobody knows whether it arrived."""
    output = StoredOutput(stream="stdout", head=b"hello", tail=b"", tail_offset=0)
    batch = (sent("c1-1"), started("c1-0"), reported("c1-0")._replace(outputs=[output]))
    assert await apply(stored, *batch) == await apply(stored, *batch) == {"c1-0": ENDED, "c1-1": SENT}
    assert len(await stored.read(lambda tx: repository.list_outputs(tx, ["c1-0"]))) == 1


async def test_what_never_arrived_may_wait_again(stored: Database) -> None:
    await apply(stored, sent("c1-0"))
    assert await apply(stored, happened(Event.RETURN, "c1-0", queued_at=NOON)) == {"c1-0": PENDING}
    await apply(stored, started("c1-0"))
    assert await apply(stored, happened(Event.RETURN, "c1-0", queued_at=NOON)) == {"c1-0": RUNNING}


async def test_of_two_admins_that_settle_what_never_arrived_one_does(stored: Database) -> None:
    """One hands it out in its node's new session, the other calls it missed by what it knew before."""
    await apply(stored, sent("c1-0")._replace(values={"sent_at": NOON, "sent_epoch": 4}))
    again = happened(Event.RESEND, "c1-0", sent_epoch=5)._replace(only_if={"sent_epoch": 4})
    offline = {**end_values(pb.ExecutionEnd(), Outcome.OFFLINE, False), "ended_at": NOON}
    missed = happened(Event.MISS, "c1-0", **offline)._replace(only_if={"sent_epoch": 4})
    assert await apply(stored, again) == {"c1-0": SENT}
    assert await apply(stored, missed) == {"c1-0": SENT}
    assert await apply(stored, missed._replace(only_if={"sent_epoch": 5})) == {"c1-0": ENDED}
    found = (await apply(stored, again._replace(only_if={"sent_epoch": 5})))["c1-0"]
    assert isinstance(found, LiveExecution)


async def test_what_another_admin_handed_out_is_neither_withheld_nor_offline(stored: Database) -> None:
    await apply(stored, sent("c1-0"))
    for event, outcome in ((Event.WITHHOLD, Outcome.NOT_STARTED), (Event.FIND_OFFLINE, Outcome.OFFLINE)):
        end = end_values(pb.ExecutionEnd(), outcome, False)
        assert await apply(stored, happened(event, "c1-0", **end, ended_at=NOON)) == {"c1-0": SENT}


def late_evidence(node: str, outcome: Outcome = Outcome.FAILED) -> Transition:
    """A node says after all how c1-0 ended."""
    end = end_values(pb.ExecutionEnd(exit_code=7), outcome, True)
    transition = happened(Event.CORRECT, "c1-0", **end, ended_at=NOON, corrected_at=NOON)
    return transition._replace(only_if={"node_id": node})


@pytest.mark.parametrize("before", Outcome)
async def test_late_evidence_corrects_what_was_given_up_as_lost_and_nothing_else(
    stored: Database, before: Outcome
) -> None:
    await apply(stored, reported("c1-0", before, pb.ExecutionEnd()))
    await apply(stored, late_evidence("node-0"))
    after = (await stored.read(lambda tx: repository.find_executions(tx, ["c1-0"])))[0]
    is_corrected = (after.outcome, after.exit_code, after.corrected_at) == (Outcome.FAILED, 7, NOON)
    assert is_corrected == (before is Outcome.LOST)
    if before is not Outcome.LOST:
        assert (after.outcome, after.exit_code, after.corrected_at) == (before, None, None)


async def test_late_evidence_of_another_node_and_about_what_goes_on_corrects_nothing(stored: Database) -> None:
    await apply(stored, started("c1-0"))
    assert await apply(stored, late_evidence("node-0")) == {"c1-0": RUNNING}
    await apply(stored, reported("c1-0", Outcome.LOST))
    await apply(stored, late_evidence("node-1"))
    assert (await standing(stored, "c1"))[0] == (ENDED, Outcome.LOST)


async def test_a_batch_may_be_larger_than_a_statement(db: Database) -> None:
    def fill(tx: Session) -> None:
        add_command(tx, "c2", *["oslo"] * 1200)

    await db.write(fill)
    names = [f"c2-{place}" for place in range(1200)]
    assert await apply(db, *map(sent, names)) == dict.fromkeys(names, SENT)
    await apply(db, *map(reported, names))
    assert set(await standing(db, "c2")) == {(ENDED, Outcome.OK)}
    assert await is_finished(db, "c2")


async def test_deleting_a_node_drops_what_was_pending_and_loses_what_was_handed_over(db: Database) -> None:
    await db.write(lambda tx: [add_command(tx, name, "oslo") for name in ("c1", "c2", "c3")])
    await apply(db, sent("c2-0"), reported("c3-0"))
    assert set(await db.write(lambda tx: repository.drop_for_node(tx, NodeId("node-0"), NOON))) == {"c1", "c2"}
    ends = [(await standing(db, name))[0][1] for name in ("c1", "c2", "c3")]
    assert ends == [Outcome.DROPPED, Outcome.LOST, Outcome.OK]
    assert all([await is_finished(db, name) for name in ("c1", "c2", "c3")])


async def test_of_two_admins_that_take_over_a_command_one_does(stored: Database) -> None:
    def take(tx: Session, admin: str) -> bool:
        return repository.take_over(tx, "c1", old_admin_id="admin-1", new_admin_id=admin)

    assert await stored.write(lambda tx: take(tx, "admin-2"))
    assert not await stored.write(lambda tx: take(tx, "admin-3"))
    assert list(await stored.read(repository.list_open_command_ids)) == [("c1", "admin-2")]


HOSTILE = pb.ExecutionEnd(
    signal="\x00" * 30, error_code="\x1b" * 60, error_message="\x00" * 500, stdout_bytes=2**64 - 1, exit_code=-(2**31)
)


def test_what_a_node_says_of_an_end_is_made_printable_and_bounded() -> None:
    values = end_values(HOSTILE, Outcome.FAILED, None)
    assert values["signal"].startswith("\\x00\\x00")
    assert (values["stdout_bytes"], values["exit_code"], values["started"]) == (2**62, -(2**31), None)
    assert "\x00" not in values["error_message"]


async def test_a_hostile_end_is_stored_all_the_same(stored: Database) -> None:
    await apply(stored, reported("c1-0", Outcome.FAILED, HOSTILE))
    assert (await standing(stored, "c1"))[0] == (ENDED, Outcome.FAILED)


def test_a_duration_beyond_all_bounds_does_no_harm() -> None:
    end = pb.ExecutionEnd()
    end.duration.seconds = 2**62
    assert end_values(end, Outcome.OK, True)["duration_ms"] is not None


async def test_two_admins_that_store_its_last_ends_at_the_same_moment_close_the_command(stored: Database) -> None:
    loop = asyncio.get_running_loop()
    is_written, is_second_on_its_way = asyncio.Event(), asyncio.Event()

    def store_and_linger(tx: Session) -> None:
        storing.apply(tx, [reported("c1-0")], NOON)
        loop.call_soon_threadsafe(is_written.set)
        asyncio.run_coroutine_threadsafe(is_second_on_its_way.wait(), loop).result()

    first = asyncio.create_task(stored.write(store_and_linger))
    await is_written.wait()
    second = asyncio.create_task(apply(stored, reported("c1-1")))
    if not stored.is_sqlite:
        await eventually(lambda: _waits_for_a_lock(stored, second), what="the second one to meet the first")
    is_second_on_its_way.set()
    await asyncio.gather(first, second)
    assert await is_finished(stored, "c1")


async def _waits_for_a_lock(db: Database, task: asyncio.Task[Any]) -> bool:
    return task.done() or await db.read(count_waiting) == 1
