"""Commands that tests put into a database by hand, and the transitions of their executions."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from edge_server.commands import repository
from edge_server.commands.domain import CommandId, Event, ExecutionId, FrozenExecution, Outcome, State
from edge_server.commands.models import CommandRow
from edge_server.commands.transition import Transition, end_values
from edge_server.db.database import Database
from edge_wire.v1 import command_pb2 as pb
from tests.edge_server.fleet import NOON

UPTIME = pb.CommandSpec(argv=pb.Argv(arguments=["uptime"]))


def add_command(
    tx: Session, command_id: str, *clusters: str, admin_id: str = "admin-1", created_at: datetime = NOON
) -> CommandRow:
    """Insert a command with one pending execution per cluster name; their ids are `COMMAND-0`, `COMMAND-1`, …"""
    command = CommandRow(
        id=command_id,
        principal_id="id-of-alice",
        principal_name="alice",
        request_id=f"request of {command_id}",
        request_hash=b"hash",
        spec=UPTIME.SerializeToString(),
        admin_id=admin_id,
        created_at=created_at,
    )
    repository.insert_command(tx, command, [pending(command_id, place, name) for place, name in enumerate(clusters)])
    return command


def pending(command_id: str, place: int, cluster: str) -> FrozenExecution:
    """An execution that nobody has."""
    return FrozenExecution(
        id=f"{command_id}-{place}",
        command_id=command_id,
        position=place,
        node_id=f"node-{place}",
        node_name=f"web{place}",
        cluster_id=f"id-of-{cluster}",
        cluster_name=cluster,
    )


def happened(event: Event, execution_id: str, **values: object) -> Transition:
    """One event of one execution."""
    command_id = CommandId(execution_id.rpartition("-")[0])
    return Transition(execution_id=ExecutionId(execution_id), command_id=command_id, event=event, values=values)


def sent(execution_id: str) -> Transition:
    """It was handed to its node."""
    return happened(Event.SEND, execution_id, sent_at=NOON)


def started(execution_id: str) -> Transition:
    """Its process runs."""
    return happened(Event.START, execution_id, started_at=NOON)


def reported(execution_id: str, outcome: Outcome = Outcome.OK, end: pb.ExecutionEnd | None = None) -> Transition:
    """Its node said how it ended."""
    values = end_values(end or pb.ExecutionEnd(exit_code=0), outcome, True)
    return happened(Event.REPORT, execution_id, **values, ended_at=NOON)


async def standing(db: Database, command_id: str) -> list[tuple[State, Outcome | None]]:
    """Where each execution of a command stands."""
    rows = await db.read(lambda tx: repository.list_executions(tx, command_id))
    return [(row.state, row.outcome) for row in rows]


async def is_finished(db: Database, command_id: str) -> bool:
    """Whether a command is over."""
    row = await db.read(lambda tx: repository.find(tx, command_id))
    assert row is not None
    return row.finished_at is not None
