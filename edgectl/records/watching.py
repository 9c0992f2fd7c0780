"""`edgectl command logs`, `attach` and `wait`: looking at a command that is there, from any terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from edge_wire.errors import DeadlineExceeded, NodeNotFound
from edge_wire.names import quoted
from edge_wire.v1 import command_pb2 as pb
from edgectl.connect import Admin, ask, connected
from edgectl.durations import parse_duration
from edgectl.execution.choices import PolicyChoice, ViewChoice
from edgectl.execution.exit_codes import TIMED_OUT
from edgectl.execution.feed import Feed
from edgectl.execution.foreground import Foreground, run_foreground
from edgectl.execution.sink import Sink
from edgectl.execution.tally import Tally
from edgectl.execution.wishes import Pace, Wishes
from edgectl.invocation import Invocation
from edgectl.options import CommandId, invocation_of
from edgectl.output import fail
from edgectl.records.stored import load_command
from edgectl.selectors import SelectorWords
from edgectl.views.choose import choose_view
from edgectl.views.view import Result

_ID_PREFIX_LENGTH = 4

View = Annotated[ViewChoice, typer.Option(help="How output is shown.")]
NoPrefix = Annotated[bool, typer.Option("--no-prefix", help="No node in front of lines.")]
Raw = Annotated[bool, typer.Option("--raw", help="Let terminal escapes through.")]
Policy = Annotated[PolicyChoice, typer.Option(help="none: always 0 when it is over.")]


def attach(
    ctx: typer.Context,
    id: CommandId,  # noqa: A002  # its name on the command line
    view: View = ViewChoice.STREAM,
    outdir: Annotated[Path | None, typer.Option(help="Keep what each node writes in this directory.")] = None,
    no_prefix: NoPrefix = False,
    raw: Raw = False,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="No progress line.")] = False,
    exit_policy: Policy = PolicyChoice.AUTO,
) -> int:
    """Show a command from its beginning on and wait for its end; Ctrl-C leaves and lets it run on."""
    invocation = invocation_of(ctx)
    command = ask(invocation, lambda admin: load_command(admin, id)).command
    wishes = Wishes(
        selector=SelectorWords(),
        pace=_pace_of(command),
        view=view.value,
        outdir=outdir,
        is_raw=raw,
        has_prefix=not no_prefix,
        has_progress=not no_progress,
        exit_policy=exit_policy.value,
    )
    return run_foreground(invocation, wishes, pb.WatchCommandRequest(command_id=command.id))


def wait(
    ctx: typer.Context,
    id: CommandId,  # noqa: A002  # as above
    timeout: Annotated[str, typer.Option(help="Give up after this long, with exit code 124.")] = "",
    exit_policy: Policy = PolicyChoice.AUTO,
) -> int:
    """Wait for the end of a command without its output; the exit code is that of exec."""
    invocation = invocation_of(ctx)
    limit = parse_duration(timeout).total_seconds() if timeout else None

    async def work() -> int:
        async with connected(invocation) as admin:
            command = (await load_command(admin, id)).command
            wishes = Wishes(
                selector=SelectorWords(), pace=_pace_of(command), view="none", exit_policy=exit_policy.value
            )
            request = pb.WatchCommandRequest(command_id=command.id, without_output=True)
            waiting = Foreground(invocation=invocation, wishes=wishes, admin=admin, ask=request).run()
            try:
                return await asyncio.wait_for(waiting, limit)
            except TimeoutError:
                hint = f"edgectl command show {command.id}"
                fail(invocation, DeadlineExceeded(f"command {command.id} is not over after {timeout}", hint=hint))
                return TIMED_OUT

    return asyncio.run(work())


def logs(
    ctx: typer.Context,
    id: CommandId,  # noqa: A002  # as above
    node: Annotated[list[str] | None, typer.Argument(help="Only these nodes of the command.")] = None,
    view: View = ViewChoice.STREAM,
    no_prefix: NoPrefix = False,
    raw: Raw = False,
) -> int:
    """Print what is kept of a command's output, with gaps where something is not."""
    invocation = invocation_of(ctx)
    wishes = Wishes(selector=SelectorWords(), view=view.value, is_raw=raw, has_prefix=not no_prefix)

    async def work() -> int:
        async with connected(invocation) as admin:
            await _print_logs(invocation, wishes, admin, id, node or [])
        return 0

    return asyncio.run(work())


async def _print_logs(
    invocation: Invocation, wishes: Wishes, admin: Admin, reference: str, names: Sequence[str]
) -> None:
    tally = Tally()
    view, sink = choose_view(invocation, wishes, tally), Sink()
    request = pb.WatchCommandRequest(command_id=reference, no_follow=True)
    feed = Feed(admin=admin, ask=request, tally=tally, on_break=lambda _: None)
    wanted: set[str] = set()
    async for response in feed.responses():
        happenings = tally.take(response)
        wanted = wanted or _wanted(tally, names)
        await sink.put(view.show([item for item in happenings if item.target.execution_id in wanted]))
    standings = [item for item in tally.standings.values() if item.target.execution_id in wanted]
    result = Result(
        command_id=tally.command_id,
        counts=tally.counts(),
        standings=sorted(standings, key=lambda item: item.target.node_name),
        exit_code=0,
        elapsed=timedelta(0),
        stop_reason=tally.stop_reason,
    )
    await sink.put(view.finish(result))


def _wanted(tally: Tally, names: Sequence[str]) -> set[str]:
    """The executions of these nodes, or all of them. Raises NodeNotFound."""
    targets = [item.target for item in tally.standings.values()]
    found = {target.execution_id for target in targets} if not names else set()
    for name in names:
        fitting = {target.execution_id for target in targets if _is_called(target, name)}
        if not fitting:
            raise NodeNotFound(
                f"{quoted(name)} is none of the command's nodes", hint=f"edgectl command show {tally.command_id}"
            )
        found |= fitting
    return found


def _is_called(target: pb.Target, name: str) -> bool:
    is_id = len(name) >= _ID_PREFIX_LENGTH and target.node_id.startswith(name)
    return is_id or name in {target.node_name, f"{target.node_name}.{target.cluster}"}


def _pace_of(command: pb.Command) -> Pace:
    """What counts for the exit code."""
    is_skipping = command.spec.offline == pb.OFFLINE_POLICY_SKIP
    return Pace(offline="skip" if is_skipping else "fail")
