"""Loading commands from the database into memory, whole or only what changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from edge_server.commands import convert, repository, secrets
from edge_server.commands.domain import CommandId, ExecutionId, State
from edge_server.commands.models import CommandRow, ExecutionRow, OutputRow
from edge_server.commands.output import Codec, KeptOutput, unpack
from edge_server.commands.run import STREAMS, CommandRun, LiveExecution, RunOptions
from edge_server.encryption import Cipher
from edge_server.nodes.domain import NodeId


def load_run(
    tx: Session,
    command: CommandRow,
    *,
    cipher: Cipher,
    is_pacer: bool,
    now: Callable[[], datetime],
    clock: Callable[[], float],
) -> CommandRun:
    """One command with everything that is stored of it."""
    rows = repository.list_executions(tx, command.id)
    executions = to_live(rows)
    restore_outputs(executions, repository.list_outputs(tx, [row.id for row in rows if row.state is State.ENDED]))
    for execution in executions:
        if execution.is_under_way:
            execution.out_of_contact_since = clock()
    return CommandRun(
        command_id=CommandId(command.id),
        options=RunOptions(
            spec=secrets.unseal(cipher, command),
            is_pacer=is_pacer,
            created_at=command.created_at,
            principal_id=command.principal_id,
        ),
        executions=executions,
        is_cancelled=command.cancelled_at is not None,
        now=now,
        clock=clock,
    )


def to_live(rows: Sequence[ExecutionRow]) -> list[LiveExecution]:
    """Rows as they are kept in memory."""
    return [
        LiveExecution(
            id=ExecutionId(row.id),
            command_id=CommandId(row.command_id),
            node_id=NodeId(row.node_id),
            state=row.state,
            outcome=row.outcome,
            end=convert.end_from_row(row),
            is_end_committed=row.state is State.ENDED,
            queued_at=row.queued_at,
            sent_at=row.sent_at,
            sent_epoch=row.sent_epoch,
            ended_at=row.ended_at,
        )
        for row in rows
    ]


def load_executions(tx: Session, ids: Sequence[str]) -> dict[ExecutionId, LiveExecution]:
    """These executions with the output that is stored of them, as far as they are there."""
    executions = to_live(repository.find_executions(tx, ids))
    restore_outputs(executions, repository.list_outputs(tx, ids))
    return {execution.id: execution for execution in executions}


def restore_outputs(executions: Sequence[LiveExecution], outputs: Sequence[OutputRow]) -> None:
    """Give executions the output that is stored of them."""
    by_id = {execution.id: execution for execution in executions}
    streams = {name: stream for stream, name in STREAMS.items()}
    for row in outputs:
        kept = KeptOutput.restored(*unpack(Codec(row.codec), row.head, row.tail), row.tail_offset)
        by_id[ExecutionId(row.execution_id)].outputs[streams[row.stream]] = kept
