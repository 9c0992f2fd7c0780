"""`edgectl cp` while it runs: progress on a terminal, Ctrl-C, what is printed at the end, and the exit code."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from edgectl.copying import results
from edgectl.copying.fleet import DEFAULT_FANOUT, FleetCopy
from edgectl.copying.node_copy import SshOpener
from edgectl.copying.places import Route
from edgectl.copying.progress import Progress
from edgectl.copying.tree_copy import Options
from edgectl.invocation import Invocation
from edgectl.output import emit_list, note

TERMINATED = 143


@dataclass(frozen=True, kw_only=True)
class CopyPlan:
    """What is to be copied where, once the nodes are known."""

    route: Route
    nodes: Sequence[str]
    options: Options
    is_apart: bool
    """What comes from each node goes to a directory with its name: unless one was named outright."""
    fanout: int = DEFAULT_FANOUT
    has_progress: bool = True


def copy_in_foreground(invocation: Invocation, plan: CopyPlan, opener: SshOpener) -> int:
    """Copy, and say what became of it. Returns the exit code. To be called in the main thread."""
    is_shown = plan.has_progress and not invocation.is_quiet and not invocation.is_machine and sys.stderr.isatty()
    progress = Progress(sys.stderr, is_shown=is_shown, clock=time.monotonic)
    fleet = FleetCopy(route=plan.route, options=plan.options, is_apart=plan.is_apart, opener=opener, listener=progress)
    with _stopping_on_sigterm(fleet) as heard:
        found = fleet.run(plan.nodes, fanout=plan.fanout)
    progress.take_away()
    if invocation.is_machine:
        emit_list(invocation, [results.row(item, is_push=plan.route.is_push) for item in found], [], empty="")
    for line in results.failure_lines(found):
        note(line)
    if not invocation.is_quiet:
        note(results.summary(found))
    return TERMINATED if heard else results.exit_code(found)


@contextmanager
def _stopping_on_sigterm(fleet: FleetCopy) -> Iterator[list[int]]:
    """The list is empty until the signal was heard."""
    heard: list[int] = []

    def stop(number: int, frame: object) -> None:
        heard.append(number)
        fleet.stop()

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield heard
    finally:
        signal.signal(signal.SIGTERM, before)
