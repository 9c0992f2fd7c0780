"""Use cases of commands: create, cancel, show and list. Watching is in the dispatcher's runs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from uuid import uuid4

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from edge_server.audit.service import Change, record
from edge_server.commands import convert, removal, repository, secrets
from edge_server.commands.checks import REQUEST_ID_LIMIT, check_spec
from edge_server.commands.dispatcher import Dispatcher
from edge_server.commands.domain import CommandId, FrozenExecution, Outcome
from edge_server.commands.freezing import freeze, from_rows, hand_out, to_live
from edge_server.commands.lookup import EARLIER_COMMANDS, find_command
from edge_server.commands.models import CommandRow, ExecutionRow
from edge_server.commands.pacing import StopReason
from edge_server.commands.reconciler import Reconciler
from edge_server.commands.run import CommandRun, RunOptions
from edge_server.commands.stdin_feed import StdinFeed
from edge_server.db.database import Database
from edge_server.encryption import Cipher
from edge_server.nodes.domain import NodeId
from edge_server.nodes.selection import Selection, Surroundings, resolve
from edge_server.principals.domain import Caller
from edge_server.sessions.whereabouts import require_not_elsewhere
from edge_wire.errors import CommandOpen, Denied, InvalidValue, RequestIdReused, ShuttingDown, StdinTooLarge
from edge_wire.names import quoted
from edge_wire.tasks import OwnedTasks
from edge_wire.v1 import command_pb2 as pb

log = logging.getLogger(__name__)

DEFAULT_PAGE = 50
LARGEST_PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What an operator asks for."""

    selection: Selection
    spec: pb.CommandSpec
    request_id: str
    is_dry_run: bool


@dataclass(frozen=True, kw_only=True)
class Created:
    """A durable command, or what a dry run found."""

    command_id: str
    targets: Sequence[FrozenExecution]
    is_repeated: bool


@dataclass(frozen=True, kw_only=True)
class CommandView:
    """One command as it is shown."""

    row: CommandRow
    counts: dict[Outcome | None, int]
    stop_reason: StopReason | None
    executions: Sequence[ExecutionRow] = ()


class CommandService:
    """Commands as operators ask for them."""

    def __init__(
        self,
        *,
        db: Database,
        dispatcher: Dispatcher,
        reconciler: Reconciler,
        cipher: Cipher,
        admin_id: str,
        now: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._dispatcher = dispatcher
        self._reconciler = reconciler
        self._cipher = cipher
        self._admin_id = admin_id
        self._now = now
        self._is_draining = False
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self._tasks = OwnedTasks(log, "an abandoned command could not be cancelled")

    def drain(self) -> None:
        """Accept no more commands."""
        self._is_draining = True

    async def create(self, caller: Caller, wish: Wish) -> Created:
        """Accept a command; durable when it returns. Raises what selecting and checking raise."""
        check_spec(wish.spec)
        if len(wish.request_id) > REQUEST_ID_LIMIT:
            raise InvalidValue(f"a request id has at most {REQUEST_ID_LIMIT} characters")
        if self._is_draining:
            raise ShuttingDown(hint="repeat it: it will reach the restarted admin")
        try:
            created, command = await self._db.write(lambda tx: self._insert(tx, caller, wish))
        except IntegrityError:
            # The same request arrived twice at once: the other one made the command.
            created, command = await self._db.write(lambda tx: self._insert(tx, caller, wish))
        if command is not None:
            self._dispatcher.adopt_new(self._to_run(command, created.targets, wish.spec))
        return created

    async def watchable(self, caller: Caller, reference: str) -> CommandRun:
        """A command that the caller may watch. Raises CommandNotFound."""
        view = await self.get(caller, reference)
        return await self._reconciler.open_run(CommandId(view.row.id))

    async def watch_created(self, caller: Caller, created: Created) -> CommandRun:
        """What `create` made, to watch; mostly it is under way. Raises CommandNotFound when it is gone already."""
        run = None if created.is_repeated else self._dispatcher.find_run(CommandId(created.command_id))
        return run or await self.watchable(caller, created.command_id)

    async def cancel(self, caller: Caller, reference: str) -> tuple[int, int]:
        """End what runs, start nothing more; returns how many never start and how many are told to end."""

        def work(tx: Session) -> tuple[CommandId, int, int]:
            row = find_command(tx, caller.principal, reference)
            _require_whole(tx, caller, row)
            repository.mark_cancelled(tx, row, self._now())
            withheld = repository.withhold_pending(tx, row.id, self._now())
            running = repository.count_open(tx, row.id)
            repository.finish(tx, [row.id], self._now())
            details = {"not_started": str(withheld), "cancelling": str(running)}
            record(tx, caller, Change(action="command.cancel", subject_id=row.id, details=details), self._now())
            return CommandId(row.id), withheld, running

        command_id, withheld, running = await self._db.write(work)
        run = self._dispatcher.find_run(command_id)
        if run is not None:
            self._dispatcher.cancel(run)
        return withheld, running

    @asynccontextmanager
    async def bringing(self, caller: Caller, run: CommandRun) -> AsyncIterator[StdinFeed | None]:
        """Somebody who may bring stdin is there; None when there is none to bring.

        Nobody can use a terminal whose person is gone for the contact time-out: its command is cancelled then.
        """
        feed = self._dispatcher.feeds.find(run.id)
        leaving = self._leaving.pop(run.id, None)
        if leaving is not None:
            leaving.cancel()
        try:
            yield feed
        finally:
            if feed is not None and run.options.spec.HasField("terminal") and not run.is_over:
                self._leaving[run.id] = asyncio.get_running_loop().call_later(
                    run.options.contact_timeout.total_seconds(), self._abandon, caller, run
                )

    async def bring(self, caller: Caller, run: CommandRun, chunk: pb.StdinChunk) -> None:
        """More stdin. Raises FrameInvalid, Denied, StdinTooLarge, and then the command is cancelled."""
        self._require_own(caller, run)
        feed = self._dispatcher.feeds.find(run.id)
        if feed is None:
            return
        try:
            await feed.append(chunk)
        except StdinTooLarge:
            await self.cancel(caller, run.id)
            raise
        except OSError as error:
            await self.cancel(caller, run.id)
            raise StdinTooLarge(f"the admin's disk takes no more stdin ({error.strerror})") from None

    def resize(self, caller: Caller, run: CommandRun, terminal: pb.Terminal) -> None:
        """The terminal has another size. Raises Denied."""
        self._require_own(caller, run)
        if run.options.spec.HasField("terminal"):
            self._dispatcher.resize(run, terminal)

    def stop(self) -> None:
        """Watch over no terminal any more."""
        for leaving in self._leaving.values():
            leaving.cancel()

    async def delete(self, caller: Caller, reference: str) -> None:
        """Remove one command that is over: nobody sees it any more, and its rows go soon.

        Raises CommandNotFound, CommandOpen, ScopeDenied.
        """

        def work(tx: Session) -> None:
            row = find_command(tx, caller.principal, reference)
            _require_whole(tx, caller, row)
            if row.finished_at is None:
                raise CommandOpen(f"command {row.id} is not over", hint=f"edgectl command cancel {row.id}")
            removal.hide(tx, [row.id], self._now())
            record(tx, caller, Change(action="command.delete", subject_id=row.id), self._now())

        await self._db.write(work)

    def _require_own(self, caller: Caller, run: CommandRun) -> None:
        if run.options.principal_id != caller.principal.id:
            raise Denied("only who made a command may bring its stdin")

    def _abandon(self, caller: Caller, run: CommandRun) -> None:
        self._leaving.pop(run.id, None)
        if not run.is_over:
            self._tasks.spawn(self._cancel_abandoned(caller, run))

    async def _cancel_abandoned(self, caller: Caller, run: CommandRun) -> None:
        await self.cancel(caller, run.id)

    async def get(self, caller: Caller, reference: str) -> CommandView:
        """One command with its executions. Raises CommandNotFound."""

        def work(tx: Session) -> CommandView:
            row = find_command(tx, caller.principal, reference)
            scope = caller.principal.cluster_ids
            executions = repository.list_executions(tx, row.id, scope)
            return replace(_to_views(tx, [row], scope)[0], executions=executions)

        return await self._db.read(work)

    async def list_page(
        self, caller: Caller, *, before: tuple[datetime, str] | None, page_size: int
    ) -> tuple[list[CommandView], tuple[datetime, str] | None]:
        """A page of commands, newest first, and where to continue."""
        limit = min(page_size or DEFAULT_PAGE, LARGEST_PAGE)
        scope = caller.principal.cluster_ids

        def work(tx: Session) -> tuple[list[CommandView], bool]:
            rows = repository.list_page(tx, scope=scope, before=before, limit=limit + 1)
            return _to_views(tx, rows[:limit], scope), len(rows) > limit

        page, has_more = await self._db.read(work)
        return page, (page[-1].row.created_at, page[-1].row.id) if has_more else None

    def _insert(self, tx: Session, caller: Caller, wish: Wish) -> tuple[Created, CommandRow | None]:
        """Resolve, freeze and store in one transaction; the row is None when nothing new was stored."""
        known = self._find_repeated(tx, caller, wish)
        if known is not None:
            return known, None
        around = Surroundings(now=self._now(), commands=EARLIER_COMMANDS)
        nodes = resolve(tx, caller.principal, wish.selection, around)
        require_not_elsewhere(tx, nodes, admin_id=self._admin_id, now=self._now())
        if (wish.spec.exact_output or wish.spec.HasField("terminal")) and len(nodes) != 1:
            raise InvalidValue("exact output and a terminal need exactly one node")
        if wish.is_dry_run:
            return Created(command_id="", targets=freeze(nodes, ""), is_repeated=False), None
        command_id, now = str(uuid4()), self._now()
        pace = convert.pace_options(wish.spec, created_at=now, is_cancelled=False)
        executions = hand_out(freeze(nodes, command_id), pace, now, self._dispatcher.epoch_of)
        command = CommandRow(
            id=command_id,
            principal_id=caller.principal.id,
            principal_name=caller.principal.name,
            request_id=wish.request_id or str(uuid4()),
            request_hash=_hash_of(wish),
            spec=secrets.without_values(wish.spec).SerializeToString(),
            secrets=secrets.seal(self._cipher, command_id, wish.spec),
            admin_id=self._admin_id,
            created_at=now,
        )
        repository.insert_command(tx, command, executions)
        change = Change(action="command.create", subject_id=command.id, details={"targets": str(len(nodes))})
        record(tx, caller, change, now)
        return Created(command_id=command_id, targets=executions, is_repeated=False), command

    def _find_repeated(self, tx: Session, caller: Caller, wish: Wish) -> Created | None:
        if not wish.request_id:
            return None
        row = repository.find_by_request(tx, caller.principal.id, wish.request_id)
        if row is None:
            return None
        if row.request_hash != _hash_of(wish):
            raise RequestIdReused(
                f"the request id {quoted(wish.request_id)} made command {row.id}, which is another one",
                hint="use a new request id",
            )
        targets = from_rows(repository.list_executions(tx, row.id))
        return Created(command_id=row.id, targets=targets, is_repeated=True)

    def _to_run(self, command: CommandRow, targets: Sequence[FrozenExecution], spec: pb.CommandSpec) -> CommandRun:
        return CommandRun(
            command_id=CommandId(command.id),
            options=RunOptions(
                spec=spec, is_pacer=True, created_at=command.created_at, principal_id=command.principal_id
            ),
            executions=to_live(targets),
            is_cancelled=False,
            now=self._now,
            clock=asyncio.get_running_loop().time,
        )


def _hash_of(wish: Wish) -> bytes:
    asked = secrets.without_values(wish.spec).SerializeToString(deterministic=True)
    selected = json.dumps(asdict(wish.selection), sort_keys=True, default=list).encode()
    return hashlib.sha256(selected + b"\0" + asked).digest()


def _to_views(tx: Session, rows: Sequence[CommandRow], scope: Collection[str] | None) -> list[CommandView]:
    ids = [row.id for row in rows]
    counts, codes = repository.count_outcomes(tx, ids, scope), repository.stop_codes(tx, ids)
    return [
        CommandView(
            row=row,
            counts=counts[row.id],
            stop_reason=convert.stop_reason(codes[row.id], is_cancelled=row.cancelled_at is not None),
        )
        for row in rows
    ]


def drop_executions(tx: Session, node_id: NodeId, now: datetime) -> None:
    """End every open execution of a node that is being deleted, in the same transaction."""
    repository.drop_for_node(tx, node_id, now)


def _require_whole(tx: Session, caller: Caller, command: CommandRow) -> None:
    """Raise ScopeDenied unless every target lies in the caller's scope."""
    if caller.principal.cluster_ids is not None:
        for execution in repository.list_executions(tx, command.id):
            caller.principal.require_cluster(execution.cluster_id, execution.cluster_name)
