"""CommandService over gRPC."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from datetime import datetime

from edge_server.commands import convert
from edge_server.commands.domain import Outcome
from edge_server.commands.freezing import from_rows
from edge_server.commands.run import CommandRun
from edge_server.commands.service import CommandService, CommandView, Created, Wish
from edge_server.commands.watch import Watcher, WatchOptions
from edge_server.nodes.convert import from_selector
from edge_server.rpc.first_frame import first_frame
from edge_server.rpc.gatekeeper import Call
from edge_wire.errors import EdgeError, FrameInvalid, PageTokenInvalid
from edge_wire.timestamps import to_timestamp
from edge_wire.v1 import command_pb2 as pb


class CommandServicer:
    """Servicer methods of a few lines."""

    def __init__(self, *, commands: CommandService) -> None:
        self._commands = commands

    async def Create(self, call: Call, request: pb.CreateCommandRequest) -> pb.CreateCommandResponse:
        return _to_created(await self._commands.create(call.caller, _to_wish(request)))

    async def Watch(self, call: Call, request: pb.WatchCommandRequest) -> AsyncGenerator[pb.WatchCommandResponse, None]:
        view = await self._commands.get(call.caller, request.command_id)
        run = await self._commands.watchable(call.caller, view.row.id)
        accepted = _found(view)
        visible = {execution.id for execution in view.executions}
        yield pb.WatchCommandResponse(accepted=_to_created(accepted))
        options = WatchOptions(follows=not request.no_follow, has_output=not request.without_output)
        async for response in _follow(run, run.watch(request.cursors, options), visible):
            yield response.watch

    async def Cancel(self, call: Call, request: pb.CancelCommandRequest) -> pb.CancelCommandResponse:
        withheld, running = await self._commands.cancel(call.caller, request.command_id)
        return pb.CancelCommandResponse(not_started_count=withheld, cancelling_count=running)

    async def Delete(self, call: Call, request: pb.DeleteCommandRequest) -> pb.DeleteCommandResponse:
        await self._commands.delete(call.caller, request.command_id)
        return pb.DeleteCommandResponse()

    async def Get(self, call: Call, request: pb.GetCommandRequest) -> pb.GetCommandResponse:
        view = await self._commands.get(call.caller, request.command_id)
        executions = sorted(view.executions, key=lambda row: (row.node_name, row.id))
        return pb.GetCommandResponse(
            command=_to_command(view), executions=[convert.to_execution(row) for row in executions]
        )

    async def List(self, call: Call, request: pb.ListCommandsRequest) -> pb.ListCommandsResponse:
        page, before = await self._commands.list_page(
            call.caller, before=_read_token(request.page_token), page_size=request.page_size
        )
        return pb.ListCommandsResponse(
            commands=[_without_script(_to_command(view)) for view in page], next_page_token=_write_token(before)
        )

    async def Exec(self, call: Call, requests: AsyncIterator[pb.ExecRequest]) -> AsyncGenerator[pb.ExecResponse, None]:
        created, cursors = await self._open(call, await first_frame(requests, name="the first request of Exec"))
        if not created.command_id:
            yield pb.ExecResponse(watch=pb.WatchCommandResponse(accepted=_to_created(created)))
            return
        run = await self._commands.watch_created(call.caller, created)
        visible = {execution.id for execution in created.targets}
        async with self._commands.bringing(call.caller, run) as stdin:
            accepted = pb.ExecResponse(watch=pb.WatchCommandResponse(accepted=_to_created(created)))
            if stdin is not None:
                accepted.stdin_offset = stdin.acknowledged
            yield accepted
            watcher = run.watch(cursors)
            listener = asyncio.create_task(self._listen(call, run, requests, watcher))
            forget = stdin.on_acknowledged(watcher.note_stdin) if stdin is not None else None
            try:
                async for response in _follow(run, watcher, visible):
                    if (offset := watcher.take_stdin()) is not None:
                        response.stdin_offset = offset
                    yield response
            finally:
                listener.cancel()
                if forget is not None:
                    forget()

    async def _open(self, call: Call, request: pb.ExecRequest) -> tuple[Created, Sequence[pb.ExecutionCursor]]:
        """The command of the first request, and from where on it is watched."""
        if request.WhichOneof("request") == "create":
            return await self._commands.create(call.caller, _to_wish(request.create)), []
        if request.WhichOneof("request") != "attach":
            raise FrameInvalid("the first request of Exec carries create or attach")
        view = await self._commands.get(call.caller, request.attach.command_id)
        return _found(view), request.attach.cursors

    async def _listen(
        self, call: Call, run: CommandRun, requests: AsyncIterator[pb.ExecRequest], watcher: Watcher
    ) -> None:
        """Take what the client says until it says nothing more: its silence is no cancel."""
        try:
            async for request in requests:
                kind = request.WhichOneof("request")
                if kind == "cancel":
                    await self._commands.cancel(call.caller, run.id)
                elif kind == "stdin":
                    await self._commands.bring(call.caller, run, request.stdin)
                elif kind == "resize":
                    self._commands.resize(call.caller, run, request.resize)
        except EdgeError as error:
            watcher.fail(error)


async def _follow(run: CommandRun, watcher: Watcher, visible: Collection[str]) -> AsyncGenerator[pb.ExecResponse, None]:
    """What happens to a command, as far as the caller may see it; Watch answers with what is in `watch`."""
    is_all_visible = len(visible) == len(run.executions)
    try:
        while (response := await watcher.next_batch()) is not None:
            if not is_all_visible:
                _confine(response.watch, run, visible)
            yield response
            if response.watch.HasField("finished") or response.watch.up_to_date:
                return
    finally:
        run.unwatch(watcher)


def _confine(response: pb.WatchCommandResponse, run: CommandRun, visible: Collection[str]) -> None:
    """Leave out what lies outside of the caller's scope."""
    seen = [event for event in response.events if event.execution_id in visible]
    del response.events[:]
    response.events.extend(seen)
    if response.HasField("finished"):
        response.finished.counts.CopyFrom(run.counts(visible))


def _to_wish(request: pb.CreateCommandRequest) -> Wish:
    return Wish(
        selection=from_selector(request.selector),
        spec=request.spec,
        request_id=request.request_id,
        is_dry_run=request.dry_run,
    )


def _found(view: CommandView) -> Created:
    """A command that was there before."""
    return Created(command_id=view.row.id, targets=from_rows(view.executions), is_repeated=True)


def _to_created(created: Created) -> pb.CreateCommandResponse:
    return pb.CreateCommandResponse(
        command_id=created.command_id,
        targets=[convert.to_target(row) for row in created.targets],
        repeated_request=created.is_repeated,
    )


def _to_command(view: CommandView) -> pb.Command:
    return pb.Command(
        id=view.row.id,
        spec=pb.CommandSpec.FromString(view.row.spec),
        created_at=to_timestamp(view.row.created_at),
        finished_at=to_timestamp(view.row.finished_at),
        cancelled_at=to_timestamp(view.row.cancelled_at),
        principal_id=view.row.principal_id,
        principal_name=view.row.principal_name,
        counts=_to_counts(view.counts),
        stop_reason=convert.STOP_REASONS[view.stop_reason],
    )


def _without_script(command: pb.Command) -> pb.Command:
    """A page of commands would carry a script hundreds of times."""
    if command.spec.HasField("script"):
        command.spec.script.ClearField("content")
    return command


def _to_counts(counts: dict[Outcome | None, int]) -> pb.OutcomeCounts:
    named = {outcome.value: count for outcome, count in counts.items() if outcome is not None}
    return pb.OutcomeCounts(total=sum(counts.values()), **named)


def _write_token(before: tuple[datetime, str] | None) -> str:
    if before is None:
        return ""
    return base64.urlsafe_b64encode(json.dumps([before[0].isoformat(), before[1]]).encode()).decode()


def _read_token(token: str) -> tuple[datetime, str] | None:
    if not token:
        return None
    try:
        moment, command_id = json.loads(base64.urlsafe_b64decode(token))
        before = datetime.fromisoformat(moment)
    except (binascii.Error, ValueError, TypeError):
        raise PageTokenInvalid from None
    if before.tzinfo is None:
        raise PageTokenInvalid
    return before, str(command_id)
