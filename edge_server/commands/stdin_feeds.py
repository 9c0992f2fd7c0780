"""Stdin of all commands under way: which of them has a feed, and which execution reads from it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from edge_server.commands.domain import CommandId
from edge_server.commands.run import CommandRun, LiveExecution
from edge_server.commands.stdin_feed import Send, StdinFeed
from edge_server.commands.stdin_spool import Spools
from edge_wire.v1 import session_pb2 as session_pb


class StdinFeeds:
    """The feeds of an admin."""

    def __init__(self, *, spools: Spools, send: Send) -> None:
        self._spools = spools
        self._send = send
        self._feeds: dict[CommandId, StdinFeed] = {}

    def find(self, command_id: CommandId) -> StdinFeed | None:
        """What brings stdin to a command under way, when it has one."""
        return self._feeds.get(command_id)

    def open(self, run: CommandRun) -> None:
        """A command is under way."""
        spec = run.options.spec
        if spec.has_stdin:
            spool = self._spools.open(run.id, is_terminal=spec.HasField("terminal"))
            reading = [execution.id for execution in run.executions.values() if not execution.is_end_committed]
            self._feeds[run.id] = StdinFeed(spool=spool, executions=reading, send=self._send)

    def wanted(self, execution: LiveExecution, wanted: session_pb.StdinWanted) -> None:
        """Its node says what it has and how much more it takes."""
        feed = self._feeds.get(execution.command_id)
        if feed is not None:
            feed.wanted(execution.id, wanted)

    def detached(self, execution: LiveExecution) -> None:
        """Its session is gone."""
        feed = self._feeds.get(execution.command_id)
        if feed is not None:
            feed.detached(execution.id)

    def ended(self, execution: LiveExecution) -> None:
        """It reads no more."""
        feed = self._feeds.get(execution.command_id)
        if feed is not None:
            feed.ended(execution.id)

    def close(self, run: CommandRun) -> None:
        """A command is over: nobody needs its stdin."""
        feed = self._feeds.pop(run.id, None)
        if feed is not None:
            feed.close()
            asyncio.get_running_loop().run_in_executor(None, self._spools.remove, run.id)

    def remove_others(self, command_ids: Collection[str]) -> None:
        """Remove the stdin that an earlier run of this admin kept for commands that are over: all but these."""
        self._spools.remove_others({*command_ids, *self._feeds})

    def stop(self) -> None:
        """Bring nothing any more; what was brought stays."""
        for feed in self._feeds.values():
            feed.close()
