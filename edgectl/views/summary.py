"""The last lines for people: who did not end well and why, whose output has holes, then the counts."""

from __future__ import annotations

from collections.abc import Iterable

from edge_wire.names import printable
from edge_wire.v1 import command_pb2 as pb
from edgectl import shapes
from edgectl.execution.tally import OUTCOMES, Standing
from edgectl.node_sets import distinct_names, fold_briefly
from edgectl.views.view import Result

_ALWAYS_SHOWN = ("ok", "failed", "offline")
_EXPLAINED_BY_CODE = (pb.OUTCOME_NOT_STARTED, pb.OUTCOME_CANCELLED)


def lines(result: Result, *, with_reasons: bool = True) -> list[str]:
    """Who did not end well, one line per way of not doing so, unless that was shown before; counts come last."""
    names = distinct_names(item.target for item in result.standings)
    groups: dict[str, list[str]] = {}
    for item in result.standings:
        if with_reasons and item.outcome != "ok":
            groups.setdefault(reason(item), []).append(names[item.target.execution_id])
    found = [f"{why}: {fold_briefly(members)}" for why, members in sorted(groups.items())]
    holed = [names[item.target.execution_id] for item in result.standings if item.has_gap]
    if holed:
        found.append(f"output incomplete: {fold_briefly(holed)}")
    return [*found, counts_line(result)]


def counts_line(result: Result) -> str:
    """Such as `40 ok · 0 failed · 0 offline · 0.21 s · command 9f3c1d20`."""
    words = [word for word in OUTCOMES if word in _ALWAYS_SHOWN or result.counts[word]]
    ended = sum(result.counts[word] for word in OUTCOMES)
    open_count = result.counts["total"] - ended
    parts = [f"{result.counts[word]} {word}" for word in words]
    if open_count:
        parts.append(f"{open_count} still open")
    return " · ".join([*parts, f"{result.elapsed.total_seconds():.2f} s", f"command {result.command_id[:8]}"])


def pending_lines(items: Iterable[Standing]) -> list[str]:
    """Who is still running, waits for a turn, or waits for a node; one line each."""
    known = list(items)
    names = distinct_names(item.target for item in known)
    groups: dict[str, list[str]] = {}
    for item in known:
        groups.setdefault(_where(item), []).append(names[item.target.execution_id])
    return [f"{word}: {fold_briefly(members)} ({len(members)})" for word, members in groups.items()] or [
        "nothing is running"
    ]


def _where(item: Standing) -> str:
    if not item.has_contact:
        return "no_contact"
    if item.state == pb.EXECUTION_STATE_PENDING:
        return "offline, queued" if item.is_queued else "waiting"
    return "running"


def one_node_lines(item: Standing) -> list[str]:
    """What a remote exit code alone does not say: a time-out, a program that is not there, output held open, a skip."""
    end = item.end
    if item.outcome == "offline":  # otherwise it is a failure, which says more
        return [f"edgectl: {printable(item.target.node_name)}: offline, skipped"]
    if end is None or not (end.error_message or item.outcome == "timed_out" or end.output_held_open):
        return []
    if end.output_held_open and not end.error_message and item.outcome != "timed_out":
        return [f"edgectl: {printable(item.target.node_name)}: a process left behind still holds the output open"]
    return [f"edgectl: {printable(item.target.node_name)}: {reason(item)}"]


def interrupted_line(item: Standing, command_id: str) -> str:
    """How it ended after Ctrl-C, where the exit code only says that it was typed."""
    return f"{reason(item)}: {printable(item.target.node_name)} · command {command_id[:8]}"


def reason(item: Standing) -> str:
    """How it ended as far as is known: `ok`, `failed (exit 3)`, `not finished`."""
    if item.end is not None:
        return reason_of_end(item.end)
    return "not finished" if item.outcome is None else item.outcome


def reason_of_end(end: pb.ExecutionEnd) -> str:
    """The outcome, with what explains it."""
    word = shapes.outcome_word(end.outcome)
    if end.outcome in _EXPLAINED_BY_CODE and end.error_code:
        return f"{word} ({end.error_code})"
    if end.error_message and end.error_code != "node_offline":
        return f"{word} ({printable(end.error_message, 120)})"
    if end.signal:
        return f"{word} ({printable(end.signal, 20)})"
    if end.HasField("exit_code") and end.exit_code:
        return f"{word} (exit {end.exit_code})"
    return word
