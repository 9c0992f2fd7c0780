"""Bringing memory, database and nodes into step: when a session opens, when an admin starts or dies, and from time to
time. It is what sessions report to.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from edge_server.admins.service import live_admins
from edge_server.commands import archive, domain, repository
from edge_server.commands.dispatcher import Dispatcher
from edge_server.commands.domain import Action, CommandId, Event, ExecutionId, Outcome, State
from edge_server.commands.late_ends import acknowledgement, collection
from edge_server.commands.models import ExecutionRow
from edge_server.commands.run import CommandRun, LiveExecution
from edge_server.db.database import Database
from edge_server.db.shared_transactions import Batches
from edge_server.encryption import Cipher
from edge_server.nodes.domain import NodeId
from edge_server.sessions.session import NodeSession
from edge_wire.errors import CommandNotFound, DatabaseUnavailable
from edge_wire.tasks import OwnedTasks
from edge_wire.v1 import session_pb2 as pb

log = logging.getLogger(__name__)

_RETRY_SECONDS = 0.5
SILENT_FOR = timedelta(seconds=2)
"""After this long without a report it is looked whether an execution was sent to where its node no longer was."""


@dataclass(frozen=True, kw_only=True)
class _NodeView:
    """What the database says of one node's executions, read in one transaction."""

    standings: Mapping[str, tuple[State, Outcome | None]]
    runs: Sequence[CommandRun]


class _Asked(NamedTuple):
    """A node that is here, and the executions that it knows."""

    node_id: NodeId
    known_ids: Sequence[str]


def _view_of(rows: Sequence[ExecutionRow], runs: Mapping[CommandId, CommandRun]) -> _NodeView:
    commands = {CommandId(row.command_id) for row in rows}
    return _NodeView(
        standings={row.id: (row.state, row.outcome) for row in rows},
        runs=[run for command_id, run in runs.items() if command_id in commands],
    )


class Reconciler:
    """Keeps commands in step with what is stored and what nodes say."""

    def __init__(
        self,
        *,
        db: Database,
        dispatcher: Dispatcher,
        cipher: Cipher,
        admin_id: str,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        self._db = db
        self._views: Batches[_Asked, _NodeView] = Batches(db.read, self._read_nodes)
        self._dispatcher = dispatcher
        self._cipher = cipher
        self._admin_id = admin_id
        self._now = now
        self._clock = clock
        self._tasks = OwnedTasks(log, "settling failed")
        self._settled: dict[NodeId, NodeSession] = {}
        """Sessions whose node's inventory was compared with what is stored."""

    # --- what sessions report ------------------------------------------------------------------------------------

    def session_opened(self, session: NodeSession, inventory: Sequence[pb.ExecutionInventory]) -> None:
        """A node is there: settle every execution that either side knows."""
        self._dispatcher.lose_contact(session.node.id)
        self._settled.pop(session.node.id, None)
        self._tasks.spawn(self._settle_node(session, {entry.execution_id: entry for entry in inventory}))

    def session_closed(self, session: NodeSession) -> None:
        """A node is gone; what it has goes on."""
        self._dispatcher.lose_contact(session.node.id)
        self._settled.pop(session.node.id, None)

    def reported(self, session: NodeSession, reports: Sequence[pb.ExecutionReport]) -> None:
        """A node reports."""
        for report in reports:
            self._dispatcher.report(session, report)

    # --- commands ------------------------------------------------------------------------------------------------

    async def open_run(self, command_id: CommandId) -> CommandRun:
        """A command to watch: the one under way here, or what is stored. Raises CommandNotFound."""
        live = self._dispatcher.find_run(command_id)
        if live is not None and any(map(_may_have_changed, live.executions.values())):
            await self._refresh_run(live)  # another admin may know more of what is not under way here
            live = self._dispatcher.find_run(command_id)
        if live is not None:
            return live

        def work(tx: Session) -> CommandRun | None:
            return self._load(tx, command_id)

        loaded = await self._db.read(work)
        if loaded is None:
            raise CommandNotFound
        return self._dispatcher.adopt(loaded)

    async def adopt_orphans(self) -> None:
        """Take over every open command whose admin is dead, and load own ones that are not under way here.

        The latter were stored although it was not heard that they are: the connection broke in the commit.
        """

        def work(tx: Session) -> list[CommandRun]:
            live = live_admins(tx, self._now())
            stored = repository.list_open_command_ids(tx)
            orphans = [
                command_id
                for command_id, admin_id in stored
                if admin_id not in live
                and repository.take_over(tx, command_id, old_admin_id=admin_id, new_admin_id=self._admin_id)
            ]
            own = [command_id for command_id, admin_id in stored if admin_id == self._admin_id]
            orphans += [command_id for command_id in own if self._dispatcher.find_run(CommandId(command_id)) is None]
            return [run for run in (self._load(tx, CommandId(orphan)) for orphan in orphans) if run is not None]

        for run in await self._db.write(work):
            known = self._dispatcher.adopt(run)
            if known is not run and not known.options.is_pacer:
                known.become_pacer()
                self._dispatcher.pump(known)

    async def open_command_ids(self) -> list[str]:
        """Every command that is not over, whichever admin has it."""
        return [command_id for command_id, _ in await self._db.read(repository.list_open_command_ids)]

    async def refresh(self) -> None:
        """Take over what others stored of the commands that are under way here: other admins, or a deleted node."""
        await self._take_over_cancels()
        runs = [run for run in self._dispatcher.runs() if any(map(_may_have_changed, run.executions.values()))]
        for run in runs:
            await self._refresh_run(run)

    async def _take_over_cancels(self) -> None:
        """A cancel that another admin stored, or one that came before this admin knew that the command is stored."""
        ids = [run.id for run in self._dispatcher.runs() if not run.is_cancelled]
        if not ids:
            return
        for command_id in await self._db.read(lambda tx: repository.list_cancelled(tx, ids)):
            run = self._dispatcher.find_run(CommandId(command_id))
            if run is not None and not run.is_cancelled:
                self._dispatcher.cancel(run)

    async def look_after_waiting(self) -> None:
        """With several admins: hand out here what the pacer elsewhere left to whoever has the node."""
        self._dispatcher.look_for_waiting()
        mine = self._admin_id
        waiting = await self._db.read(lambda tx: repository.list_waiting(tx, not_paced_by=mine))
        for row in waiting:
            if not self._dispatcher.is_reachable(NodeId(row.node_id)):
                continue
            run = await self.open_run(CommandId(row.command_id))
            live = run.executions.get(ExecutionId(row.id))
            if live is not None and live.state is State.PENDING:
                live.queued_at = row.queued_at
                self._dispatcher.pump(run)

    async def look_after_sent(self) -> None:
        """With several admins: settle what was sent over a session that was over, after its node had come here.

        The admin that sent it had not noticed. The node's inventory is older than that, so the node does not have it.
        """
        before = self._now() - SILENT_FOR
        for row in await self._db.read(lambda tx: repository.list_sent(tx, before=before)):
            session = self._settled.get(NodeId(row.node_id))
            if session is None or not session.is_open or row.sent_epoch is None or row.sent_epoch >= session.epoch:
                continue
            await self.open_run(CommandId(row.command_id))
            view = _view_of([row], {})
            self._settle(session, ExecutionId(row.id), view, {})

    def node_deleted(self, node_id: NodeId) -> None:
        """A node is no more: take over what its deletion stored, and nothing that it still says."""
        self._dispatcher.lose_contact(node_id)
        self._tasks.spawn(self.refresh())

    async def stop(self) -> None:
        """End what is still being settled."""
        await self._tasks.stop()

    # --- inside --------------------------------------------------------------------------------------------------

    async def _refresh_run(self, run: CommandRun) -> None:
        def work(tx: Session) -> tuple[bool, list[LiveExecution], list[LiveExecution]] | None:
            command = repository.find(tx, run.id)
            if command is None:
                return None
            stored = archive.to_live(repository.list_executions(tx, run.id))
            ended = [execution for execution in stored if execution.state is State.ENDED]
            archive.restore_outputs(ended, repository.list_outputs(tx, [execution.id for execution in ended]))
            is_open = [execution for execution in stored if execution.state is not State.ENDED]
            return command.cancelled_at is not None, ended, is_open

        found = await self._db.read(work)
        if found is None:
            self._dispatcher.forget(run, CommandNotFound("the command was deleted"))
            return
        is_cancelled, ended, still_open = found
        for stored in still_open:
            self._dispatcher.note_stored_state(run.executions[stored.id], stored)
        if is_cancelled and not run.is_cancelled:
            self._dispatcher.cancel(run)
        for stored in ended:
            execution = run.executions[stored.id]
            if execution.end is None:
                self._dispatcher.note_stored_end(execution, stored)

    async def _settle_node(self, session: NodeSession, inventory: Mapping[str, pb.ExecutionInventory]) -> None:
        view = await self._read_node(session, inventory)
        if view is None:
            return
        for run in view.runs:
            self._dispatcher.adopt(run)
        for execution_id in {*view.standings, *inventory}:
            self._settle(session, ExecutionId(execution_id), view, inventory)
        self._dispatcher.pump_node(session.node.id)
        if session.is_open:
            self._settled[session.node.id] = session

    async def _read_node(self, session: NodeSession, inventory: Mapping[str, Any]) -> _NodeView | None:
        """Read until the database answers or the session is over."""
        while session.is_open:
            try:
                return await self._views.ask(_Asked(session.node.id, list(inventory)))
            except DatabaseUnavailable as error:
                log.warning("a node's executions wait for the database: %s", error.message)
                await asyncio.sleep(_RETRY_SECONDS)
        return None

    def _read_nodes(self, tx: Session, asked: Sequence[_Asked]) -> list[_NodeView]:
        known: dict[str, set[str]] = defaultdict(set)
        for node_id, ids in asked:
            known[node_id].update(ids)
        found = repository.list_for_nodes(tx, known)
        open_commands = {row.command_id for rows in found.values() for row in rows if row.state is not State.ENDED}
        missing = [CommandId(command_id) for command_id in sorted(open_commands)]
        missing = [command_id for command_id in missing if self._dispatcher.find_run(command_id) is None]
        runs = {run.id: run for run in (self._load(tx, command_id) for command_id in missing) if run is not None}
        return [_view_of(found.get(node_id, []), runs) for node_id, _ in asked]

    def _settle(
        self,
        session: NodeSession,
        execution_id: ExecutionId,
        view: _NodeView,
        inventory: Mapping[str, pb.ExecutionInventory],
    ) -> None:
        live = self._dispatcher.find_execution(execution_id)
        if live is not None and live.node_id != session.node.id:
            live = None  # another node's: nothing that this one says is about it
        if live is not None and live.attached_epoch == session.epoch:
            return  # handed out in this very session, after the node wrote its inventory
        if live is not None and not live.is_send_stored:
            return  # it is being stored that it is handed out: only then it is, if nobody ended it before
        entry = inventory.get(execution_id)
        state, outcome = view.standings.get(execution_id, (None, None))
        if live is not None and not live.is_end_committed:
            state, outcome = live.state, live.outcome
        run = self._dispatcher.find_run(live.command_id) if live is not None else None
        circumstances = domain.Circumstances(
            state=state,
            outcome=outcome,
            is_known=entry is not None,
            is_ended_there=entry is not None and entry.ended,
            is_cancelled=run is not None and run.is_cancelled,
            may_wait=run is not None and (run.may_wait or not run.has_its_stdin),
            is_recent=live is not None and run is not None and self._is_recent(live, run),
        )
        action = domain.reconcile(circumstances)
        self._act(session, execution_id, live, action)

    def _act(self, session: NodeSession, execution_id: ExecutionId, live: LiveExecution | None, action: Action) -> None:
        if action in {Action.ACKNOWLEDGE, Action.STOP, Action.COLLECT}:
            _close_there(session, execution_id, action)
        elif live is None:
            return
        elif action is Action.RESUME:
            self._dispatcher.send_resume(live, session)
        elif action is Action.RESEND:
            self._dispatcher.resend(live, session)
        elif action is Action.RETURN:
            self._dispatcher.give_back(live)
        elif action is Action.LOSE:
            message = "the node does not know this execution any more"
            self._dispatcher.conclude(
                live, Event.LOSE, Outcome.LOST, started=True, error_code="unknown_to_node", error_message=message
            )
        elif action is Action.FIND_OFFLINE:
            self._dispatcher.conclude(live, Event.MISS, Outcome.OFFLINE, started=False, error_code="node_offline")
        elif action is Action.WITHHOLD:
            self._dispatcher.conclude(live, Event.MISS, Outcome.NOT_STARTED, started=False)

    def _is_recent(self, live: LiveExecution, run: CommandRun) -> bool:
        if live.sent_at is None:
            return False
        return self._now() - live.sent_at < max(run.options.contact_timeout, timedelta(seconds=1))

    def _load(self, tx: Session, command_id: CommandId) -> CommandRun | None:
        command = repository.find(tx, command_id)
        if command is None:
            return None
        is_pacer = command.admin_id == self._admin_id
        return archive.load_run(tx, command, cipher=self._cipher, is_pacer=is_pacer, now=self._now, clock=self._clock)


def _may_have_changed(execution: LiveExecution) -> bool:
    """Whether somebody else may have stored its end."""
    return execution.end is None and execution.attached_epoch is None


def _close_there(session: NodeSession, execution_id: ExecutionId, action: Action) -> None:
    """It is over here: have the node end it, report it, or forget it."""
    if action is Action.ACKNOWLEDGE:
        session.order(acknowledgement(execution_id))
        return
    if action is Action.STOP:
        order = pb.ExecutionOrder(execution_id=execution_id)
        order.stop.kill_after.FromTimedelta(domain.DEFAULT_KILL_AFTER)
        session.order(order)
    session.order(collection(execution_id))
