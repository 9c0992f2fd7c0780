"""Which view the words of one call ask for."""

from __future__ import annotations

import sys

from edgectl.execution.progress_line import Preview
from edgectl.execution.tally import Tally
from edgectl.execution.wishes import Wishes
from edgectl.invocation import Invocation
from edgectl.views.diff import DiffView
from edgectl.views.exact import ExactView
from edgectl.views.group_text import Look
from edgectl.views.grouped import GroupedView
from edgectl.views.machine import DocumentView, EventsView
from edgectl.views.outcomes import OutcomesView
from edgectl.views.silent import SilentView
from edgectl.views.stream import StreamView
from edgectl.views.view import STDERR, STDOUT, View


def choose_view(invocation: Invocation, wishes: Wishes, tally: Tally) -> View:
    """The view that the words ask for."""
    if invocation.output == "json":
        return DocumentView()
    if invocation.output == "jsonl":
        return EventsView(tally)
    if wishes.view == "none":
        return SilentView()
    terminals = frozenset(fd for fd, file in ((STDOUT, sys.stdout), (STDERR, sys.stderr)) if file.isatty())
    harmless = frozenset() if wishes.is_raw or wishes.how.is_tty else terminals
    if wishes.has_fleet_view:
        return _fleet_view(wishes, tally, Look(is_colored=invocation.has_color(), is_harmless=STDOUT in harmless))
    if wishes.is_one_node:
        return ExactView(terminals=harmless)
    return StreamView(has_prefix=wishes.has_prefix, is_colored=invocation.has_color(), terminals=harmless)


def preview_of(view: View) -> Preview | None:
    """What a view has to show before the end, to people who read its end on the same terminal."""
    return view.preview if isinstance(view, GroupedView) and sys.stdout.isatty() else None


def _fleet_view(wishes: Wishes, tally: Tally, look: Look) -> View:
    if wishes.view == "grouped":
        return GroupedView(tally=tally, look=look)
    return DiffView(tally=tally, look=look) if wishes.view == "diff" else OutcomesView(look=look)
