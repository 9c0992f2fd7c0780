"""One exec that waits: reads the feed, shows it, obeys Ctrl-C, and ends with an exit code."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from edge_wire.errors import EdgeError
from edge_wire.v1 import command_pb2 as pb
from edge_wire.v1 import node_pb2
from edgectl import shapes
from edgectl.connect import Admin, connected
from edgectl.execution import exit_codes, raw_terminal
from edgectl.execution.creation import repeated_line
from edgectl.execution.enter_key import enter_key
from edgectl.execution.feed import Feed
from edgectl.execution.interrupts import Interrupts
from edgectl.execution.output_files import OutputFiles
from edgectl.execution.progress_line import ProgressLine
from edgectl.execution.sink import Sink, Writable
from edgectl.execution.stdin_source import StdinSource, open_source
from edgectl.execution.tally import Happening, Tally
from edgectl.execution.wishes import Wishes, to_request
from edgectl.invocation import Invocation
from edgectl.node_sets import distinct_names, fold_briefly
from edgectl.output import error_line, note, relative
from edgectl.standard_streams import READER_GONE
from edgectl.views import summary
from edgectl.views.choose import choose_view, preview_of
from edgectl.views.view import Result

Ask = pb.CreateCommandRequest | pb.WatchCommandRequest


def run_foreground(invocation: Invocation, wishes: Wishes, ask: Ask | None = None) -> int:
    """Run it, or watch what is there, and wait. Returns the exit code. Raises EdgeError when that is not possible."""

    async def work() -> int:
        async with connected(invocation) as admin:
            return await Foreground(invocation=invocation, wishes=wishes, admin=admin, ask=ask).run()

    return asyncio.run(work())


def request_of(wishes: Wishes) -> pb.CreateCommandRequest:
    """What is asked of the admin by an exec that waits. Raises InvalidValue when the words cannot be meant."""
    terminal = raw_terminal.terminal_size() if wishes.how.is_tty else None
    return to_request(wishes, is_exact=wishes.is_one_node and wishes.shows_output, terminal=terminal)


_CANCEL_WITHIN = timedelta(seconds=1)
"""How long leaving waits for the admin to take a cancel that is on its way."""


@dataclass(frozen=True)
class _End:
    """Why the reading ended."""

    failure: EdgeError | None = None
    left_with: int | None = None


class Foreground:
    """One exec that waits."""

    def __init__(self, *, invocation: Invocation, wishes: Wishes, admin: Admin, ask: Ask | None = None) -> None:
        self._invocation = invocation
        self._wishes = wishes
        self._admin = admin
        self._tally = Tally()
        self._accepted = asyncio.Event()
        self._sink = Sink()
        self._view = choose_view(invocation, wishes, self._tally)
        self._files = OutputFiles(wishes.outdir, self._tally) if wishes.outdir else None
        self._is_watching = isinstance(ask, pb.WatchCommandRequest)
        self._feed = Feed(
            admin=admin,
            ask=ask if ask is not None else request_of(wishes),
            tally=self._tally,
            on_break=self._say_broken,
            stdin=_open_stdin(wishes),
        )
        self._progress = ProgressLine(
            tally=self._tally, sink=self._sink, is_shown=self._has_progress(), preview=preview_of(self._view)
        )

    async def run(self) -> int:
        """Returns the exit code. Raises EdgeError when the command was not accepted."""
        started = asyncio.get_running_loop().time()
        cancelling = _Later(self._cancel)
        hang_up = cancelling.start if self._wishes.how.is_tty else None
        on_first = None if self._is_watching else cancelling.start
        with Interrupts(on_first=on_first, on_hang_up=hang_up) as interrupts, self._terminal():
            end = await self._read_or_leave(interrupts)
            is_cancelled = await cancelling.finish(_CANCEL_WITHIN)
        if end.left_with is not None:
            self._say_leaving(is_cancelled=is_cancelled)
            return end.left_with
        if end.failure is not None and not self._tally.is_accepted:
            raise end.failure
        elapsed = timedelta(seconds=asyncio.get_running_loop().time() - started)
        return await self._conclude(end, elapsed=elapsed, is_interrupted=interrupts.is_interrupted)

    def _terminal(self) -> AbstractContextManager[None]:
        """What our own terminal is used for meanwhile."""
        if self._wishes.how.is_tty:
            return raw_terminal.raw_terminal(self._resized)
        is_free = not self._wishes.has_stdin and not self._invocation.is_machine and not self._invocation.is_quiet
        return enter_key(self._say_pending) if is_free and sys.stdin.isatty() else nullcontext()

    def _resized(self) -> None:
        self._resizing = asyncio.ensure_future(self._feed.resize(raw_terminal.terminal_size()))

    def _say_pending(self) -> None:
        """Who is still running, as asked by the Enter key."""
        self._progress.move_down()
        for line in summary.pending_lines(self._tally.open_standings()):
            self._note(line)

    async def _read_or_leave(self, interrupts: Interrupts) -> _End:
        reading = asyncio.create_task(self._read())
        painting = asyncio.create_task(self._progress.run())
        try:
            either: set[asyncio.Future[Any]] = {reading, interrupts.leaving}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if interrupts.leaving.done():
                return _End(left_with=interrupts.leaving.result())
            return reading.result()
        finally:
            for task in (reading, painting):
                task.cancel()
            await asyncio.gather(reading, painting, return_exceptions=True)

    async def _read(self) -> _End:
        """Show everything until the command is over, nothing more can be learnt soon, or nobody reads it any more."""
        responses = self._feed.responses()
        try:
            async for response in responses:
                happenings = self._tally.take(response)
                if self._tally.is_accepted and not self._accepted.is_set():
                    self._accepted.set()
                    await self._say_repeated(response.accepted)
                await self._sink.put(self._pieces(happenings))
                if self._tally.is_settled and not self._tally.has_every_end:
                    break
            await self._sink.put(self._files.finish() if self._files else [])
        except EdgeError as error:
            return _End(failure=error)
        except BrokenPipeError:  # the command is not ours alone: it goes on, as when a connection is lost
            return _End(left_with=READER_GONE)
        finally:
            await responses.aclose()  # type: ignore[attr-defined]  # it is an async generator
        return _End()

    def _pieces(self, happenings: Sequence[Happening]) -> list[Writable]:
        files = self._files.show(happenings) if self._files else []
        return [*files, *self._progress.before(self._view.show(happenings))]

    async def _conclude(self, end: _End, *, elapsed: timedelta, is_interrupted: bool) -> int:
        result = await self._judge(end, elapsed=elapsed, is_interrupted=is_interrupted)
        await self._sink.put(self._progress.before(self._view.finish(result)))
        if result.failure is not None:
            self._note(error_line(result.failure))
        for line in self._last_lines(result):
            self._note(line)
        if end.failure is not None or is_interrupted:
            self._say_unfinished()
        return result.exit_code

    async def _judge(self, end: _End, *, elapsed: timedelta, is_interrupted: bool) -> Result:
        counts = self._tally.counts()
        standings = sorted(self._tally.standings.values(), key=lambda item: item.target.node_name)
        failure = end.failure
        if failure is not None:
            failure.hint = failure.hint or f"edgectl command show {self._tally.command_id}"
            code = exit_codes.OWN_FAILURE if self._wishes.passes_code else failure.exit_code
        elif is_interrupted:
            code = exit_codes.INTERRUPTED
        elif self._wishes.passes_code:
            offline = self._wishes.pace.offline
            failure = await self._explain(exit_codes.one_node_failure(standings[0], offline=offline))
            code = exit_codes.of_one_node(standings[0], self._tally.stop_reason, offline=offline)
        else:
            code = exit_codes.of_fleet(counts, self._wishes, self._tally.stop_reason)
        return Result(
            command_id=self._tally.command_id,
            counts=counts,
            standings=standings,
            exit_code=code,
            elapsed=elapsed,
            stop_reason=self._tally.stop_reason,
            failure=failure,
        )

    async def _explain(self, failure: EdgeError | None) -> EdgeError | None:
        """Say since when an offline node is away; not knowing it changes nothing."""
        if failure is None or failure.code not in {"node_offline", "no_contact"}:
            return failure
        node_id = next(iter(self._tally.standings.values())).target.node_id
        try:
            node = await self._admin.call(self._admin.nodes.Get, node_pb2.GetNodeRequest(node=node_id))
        except EdgeError:
            return failure
        typed = self._wishes.selector.nodes[0]  # it was understood a moment ago, so it can be typed again
        name = f"{node.name}.{node.cluster}" if "." in typed else node.name
        if node.status == node_pb2.NODE_STATUS_CONFLICT:
            failure.message = f"{name} is in conflict: two machines claim its identity"
            failure.hint = "give one of the two machines an empty data directory and enroll it anew"
        elif failure.code == "node_offline":
            seen = shapes.time_of(node, "last_seen_at")
            failure.message = f"{name} is offline, {f'last seen {relative(seen)}' if seen else 'never seen'}"
            failure.hint = f"edgectl node show {typed}"
        else:
            failure.message = f"{name} has been out of contact for too long; what was started runs on"
            failure.hint = f"edgectl command show {self._tally.command_id}"
        return failure

    async def _cancel(self) -> None:
        self._note("\ncancelling; Ctrl-C again leaves at once")
        await self._accepted.wait()
        try:
            await self._feed.cancel()
        except EdgeError as error:
            self._note(error_line(error))
            raise

    def _note(self, line: str) -> None:
        note(f"{self._progress.take_away()}{line}")

    def _say_broken(self, error: EdgeError) -> None:
        if not self._invocation.is_quiet:
            self._note(f"{error_line(error)}; trying again")

    async def _say_repeated(self, accepted: pb.CreateCommandResponse) -> None:
        """What is shown is an older command. A request that is only sent again after a break needs no word."""
        if accepted.repeated_request and self._wishes.request_id and not self._invocation.is_machine:
            self._note(await repeated_line(self._admin, accepted.command_id))

    def _say_leaving(self, *, is_cancelled: bool) -> None:
        if is_cancelled:
            self._note(f"left while it is being cancelled: edgectl command show {self._tally.command_id}")
        elif self._tally.is_accepted and self._tally.has_every_end:
            return
        elif self._tally.is_accepted:
            self._note(f"left; the command goes on: edgectl command show {self._tally.command_id}")
        else:
            self._note("left before the admin answered; it is not known whether the command was accepted")

    def _say_unfinished(self) -> None:
        names = distinct_names(item.target for item in self._tally.standings.values())
        unfinished = [names[item.target.execution_id] for item in self._tally.open_standings()]
        if unfinished:
            self._note(f"not finished: {fold_briefly(unfinished)}")

    def _has_progress(self) -> bool:
        wanted = self._wishes.has_progress and not self._invocation.is_quiet and not self._wishes.is_one_node
        return wanted and not self._invocation.is_machine and sys.stderr.isatty()

    def _last_lines(self, result: Result) -> list[str]:
        if self._invocation.is_quiet or self._invocation.is_machine:
            return []
        if not self._wishes.passes_code or self._wishes.has_fleet_view:
            return summary.lines(result, with_reasons=self._wishes.view != "summary")
        if result.exit_code == exit_codes.INTERRUPTED and result.standings[0].end is not None:
            return [summary.interrupted_line(result.standings[0], result.command_id)]
        return [] if result.failure is not None else summary.one_node_lines(result.standings[0])


class _Later:
    """One task that is started at most once and does not outlive its owner."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.ensure_future(self._work())

    async def finish(self, within: timedelta) -> bool:
        """Give it that long to end. Returns whether it was started and did its work."""
        if self._task is None:
            return False
        await asyncio.wait({self._task}, timeout=within.total_seconds())
        self._task.cancel()
        (failure,) = await asyncio.gather(self._task, return_exceptions=True)
        return failure is None


def _open_stdin(wishes: Wishes) -> StdinSource | None:
    if wishes.how.is_tty:
        return open_source("-")
    return open_source(wishes.how.stdin) if wishes.has_stdin else None
