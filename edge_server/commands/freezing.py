"""The frozen set of a new command: one execution for each node, and which of them are handed out with the command.

What may start at once, on a node with a session here, is stored as sent in the transaction that stores the command: no
second one stands between the call and the node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from uuid import uuid4

from edge_server.commands.domain import CommandId, ExecutionId, FrozenExecution, State
from edge_server.commands.models import ExecutionRow
from edge_server.commands.pacing import PacedRow, PaceOptions, decide
from edge_server.commands.run import LiveExecution
from edge_server.nodes.domain import NodeId, SelectedNode

EpochOf = Callable[[NodeId], int | None]
"""The epoch of the session over which a node could be handed something now; None when it has none here."""


def freeze(nodes: Sequence[SelectedNode], command_id: str) -> list[FrozenExecution]:
    """One execution for each node, none handed out; without a command id nobody ever will."""
    return [
        FrozenExecution(
            id=str(uuid4()) if command_id else "",
            command_id=command_id,
            position=position,
            node_id=node.id,
            node_name=node.name,
            cluster_id=node.cluster_id,
            cluster_name=node.cluster_name,
        )
        for position, node in enumerate(nodes)
    ]


def hand_out(
    executions: Sequence[FrozenExecution], options: PaceOptions, now: datetime, epoch_of: EpochOf
) -> list[FrozenExecution]:
    """The same, with those sent that the pacer lets start now and whose nodes are here."""
    rows = [PacedRow(id=ExecutionId(execution.id), state=execution.state) for execution in executions]
    chosen = set(decide(rows, options, now).start)
    return [
        _sent(execution, now, epoch_of(NodeId(execution.node_id))) if execution.id in chosen else execution
        for execution in executions
    ]


def from_rows(rows: Iterable[ExecutionRow]) -> list[FrozenExecution]:
    """What was frozen when these were made, and where they stand."""
    return [FrozenExecution(*(getattr(row, name) for name in FrozenExecution._fields)) for row in rows]


def to_live(executions: Iterable[FrozenExecution]) -> list[LiveExecution]:
    """As they are kept in memory when nothing else is known of them."""
    return [
        LiveExecution(
            id=ExecutionId(execution.id),
            command_id=CommandId(execution.command_id),
            node_id=NodeId(execution.node_id),
            state=execution.state,
            sent_at=execution.sent_at,
            sent_epoch=execution.sent_epoch,
        )
        for execution in executions
    ]


def _sent(execution: FrozenExecution, now: datetime, epoch: int | None) -> FrozenExecution:
    if epoch is None:
        return execution
    return execution._replace(state=State.SENT, sent_at=now, sent_epoch=epoch)
