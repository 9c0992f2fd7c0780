"""Finding commands by id or prefix, and the nodes that took part in them: for other use cases and for selectors."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy.orm import Session

from edge_server.commands import repository
from edge_server.commands.domain import Outcome
from edge_server.commands.models import CommandRow
from edge_server.nodes.domain import NodeId
from edge_server.nodes.selection import EarlierCommands
from edge_server.principals.domain import Principal
from edge_wire.errors import CommandNotFound, InvalidValue
from edge_wire.names import is_storable, quoted

ID_PREFIX_LENGTH = 4


def find_command(tx: Session, principal: Principal, reference: str) -> CommandRow:
    """The one command of an id or prefix that reaches into the principal's scope.

    Raises CommandNotFound, InvalidValue.
    """
    found: Sequence[CommandRow] = []
    if len(reference) >= ID_PREFIX_LENGTH and is_storable(reference):
        found = repository.find_by_prefix(tx, reference, principal.cluster_ids)
    if len(found) > 1:
        raise InvalidValue(f"{reference} fits several commands: give more of the id")
    if not found:
        raise CommandNotFound(f"there is no command {quoted(reference)}", hint="edgectl command list")
    return found[0]


def nodes_of_command(tx: Session, principal: Principal, reference: str, outcomes: Sequence[str]) -> Collection[NodeId]:
    """The nodes on which a command ended in one of these outcomes; all of its nodes without any."""
    command = find_command(tx, principal, reference)
    wanted = [Outcome(outcome) for outcome in outcomes]
    return {NodeId(node_id) for node_id in repository.list_node_ids(tx, command.id, wanted)}


EARLIER_COMMANDS = EarlierCommands(outcomes=tuple(outcome.value for outcome in Outcome), nodes_of=nodes_of_command)
"""What selectors may ask about commands."""
