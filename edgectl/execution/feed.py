"""The stream of one command: made once or only watched, and taken up again where it broke.

The request carries an id, so asking again before the admin said "accepted" creates nothing twice; after that the
command is durable and `Watch` goes on from the cursors.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta

from edge_wire import calls
from edge_wire.errors import DatabaseUnavailable, EdgeError, ShuttingDown, StreamBroken, Unavailable
from edge_wire.v1 import command_pb2 as pb
from edgectl.connect import Admin
from edgectl.durations import parse_duration
from edgectl.execution.stdin_source import StdinSource
from edgectl.execution.tally import Tally

Conversation = calls.Conversation[pb.ExecRequest, pb.ExecResponse]

RECONNECT_FOR = timedelta(seconds=30)
"""How long an exec tries to get back to the admin; EDGECTL_RECONNECT_FOR sets another duration."""
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0


class Feed:
    """The stream of one command that is made by `ask`, or that is there and watched."""

    def __init__(
        self,
        *,
        admin: Admin,
        ask: pb.CreateCommandRequest | pb.WatchCommandRequest,
        tally: Tally,
        on_break: Callable[[EdgeError], None],
        stdin: StdinSource | None = None,
    ) -> None:
        self._admin = admin
        self._ask = ask
        self._tally = tally
        self._on_break = on_break
        self._stdin = stdin
        self._conversation: Conversation | None = None
        self._fatal: EdgeError | None = None
        self._reconnect_for = _reconnect_for().total_seconds()
        self._broken_since: float | None = None
        self._pause = _FIRST_PAUSE

    async def responses(self) -> AsyncIterator[pb.WatchCommandResponse]:
        """Every response until the last one; the caller gives each to the tally before it asks for the next.

        Raises EdgeError, with `started` unknown when the command was or may have been accepted.
        """
        while True:
            try:
                async for response in self._attempt():
                    self._broken_since = None
                    self._pause = _FIRST_PAUSE
                    yield response
                    if response.HasField("finished") or response.up_to_date:
                        return
                raise StreamBroken
            except EdgeError as error:
                await self._wait_or_raise(error)

    async def cancel(self) -> None:
        """End what runs and start nothing more. Raises EdgeError."""
        request = pb.CancelCommandRequest(command_id=self._tally.command_id)
        await self._admin.call(self._admin.commands.Cancel, request)

    async def resize(self, terminal: pb.Terminal) -> None:
        """Tell the program that its terminal has another size; without a connection the next one has it."""
        if self._conversation is not None:
            with suppress(EdgeError):
                await self._conversation.write(pb.ExecRequest(resize=terminal))

    def _attempt(self) -> AsyncIterator[pb.WatchCommandResponse]:
        if not self._tally.is_accepted and isinstance(self._ask, pb.CreateCommandRequest):
            return self._exec(pb.ExecRequest(create=self._ask))
        if self._stdin is not None:
            return self._exec(pb.ExecRequest(attach=self._watch_request()))
        return self._watch()

    async def _exec(self, first: pb.ExecRequest) -> AsyncIterator[pb.WatchCommandResponse]:
        conversation = calls.converse(self._admin.commands.Exec, token=self._admin.token)
        bringing: asyncio.Task[None] | None = None
        try:
            await conversation.write(first)
            self._conversation = conversation
            async for response in conversation:
                if self._stdin is not None and response.HasField("stdin_offset"):
                    self._stdin.acknowledge(response.stdin_offset)
                    if bringing is None:
                        bringing = asyncio.create_task(self._bring(self._stdin, conversation, response.stdin_offset))
                yield response.watch
        finally:
            self._conversation = None
            if bringing is not None:
                bringing.cancel()
            conversation.close()

    async def _bring(self, stdin: StdinSource, conversation: Conversation, offset: int) -> None:
        """Send stdin from an offset on. What breaks the conversation is told by its reading side."""
        try:
            async for chunk in stdin.chunks(offset):
                with suppress(EdgeError):
                    await conversation.write(pb.ExecRequest(stdin=chunk))
        except EdgeError as error:
            self._fatal = error
            conversation.close()

    async def _watch(self) -> AsyncIterator[pb.WatchCommandResponse]:
        request = self._watch_request()
        async for response in calls.stream(self._admin.commands.Watch, request, token=self._admin.token):
            yield response

    def _watch_request(self) -> pb.WatchCommandRequest:
        request = pb.WatchCommandRequest()
        if isinstance(self._ask, pb.WatchCommandRequest):
            request.CopyFrom(self._ask)
        request.command_id = self._tally.command_id or request.command_id
        request.cursors.extend(self._tally.cursors())
        return request

    async def _wait_or_raise(self, error: EdgeError) -> None:
        if self._fatal is not None:
            self._fatal.started = "unknown"
            raise self._fatal
        now = asyncio.get_running_loop().time()
        if self._broken_since is None:
            self._broken_since = now
            is_first = True
        else:
            is_first = False
        if not self._is_passing(error, is_first) or now - self._broken_since > self._reconnect_for:
            if self._tally.is_accepted or not is_first or isinstance(error, StreamBroken):
                error.started = "unknown"
            raise error
        if is_first:
            self._on_break(error)
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def _is_passing(self, error: EdgeError, is_first: bool) -> bool:
        """Whether asking again may help and cannot harm."""
        if isinstance(error, StreamBroken):
            return True
        if not self._tally.is_accepted and is_first:
            return False
        return type(error) is Unavailable or isinstance(error, (ShuttingDown, DatabaseUnavailable))


def _reconnect_for() -> timedelta:
    chosen = os.environ.get("EDGECTL_RECONNECT_FOR")
    return parse_duration(chosen) if chosen else RECONNECT_FOR
