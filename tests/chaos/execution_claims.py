"""What is claimed of executions: by the files of the nodes, the rows and the stored output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta

from tests.chaos import payload
from tests.chaos.case import Case, came_to_its_end, described, name_of
from tests.chaos.ledger import Execution
from tests.chaos.payload import Mark

_NEVER_RAN = frozenset({"offline", "not_started", "expired", "dropped"})
_FORGOTTEN = "unknown_to_node"
"""A node does not know what it had said was running: its journal lost it, and no death of a runner explains that."""
_NODE_ON_OTHER_ADMIN = "node_on_other_admin"
"""Its node was with another admin than its stdin."""
_OPENING = timedelta(seconds=2)
"""From the moment when an agent is welcome until the admin surely counts on it."""
_DEAD_UNNOTICED = timedelta(seconds=40)
"""How long an agent may believe in a session that is over: frozen, then found dead; or killed and started again."""
_EXACT_LIMIT = 32 * 1024
"""Outputs up to this many bytes are surely stored whole."""


def nothing_ran_twice(case: Case) -> Iterator[str]:
    for marks in (case.begins, case.ends):
        for (node, token), found in marks.items():
            if len(found) > 1:
                ids = ", ".join(mark.execution_id for mark in found)
                yield f"{node} has {len(found)} times {found[0].word} {token} ({ids})"


def nothing_ran_unasked(case: Case) -> Iterator[str]:
    known = {(item.id, item.node): case.command_of(item).request_id for item in case.evidence.executions}
    for (node, token), found in [*case.begins.items(), *case.ends.items()]:
        for mark in found:
            if known.get((mark.execution_id, node)) != token:
                yield f"{node} ran {token} as {mark.execution_id}, which no row of that node and command explains"
    for command in case.evidence.commands:
        if command.request_id not in case.accounts:
            yield f"command {command.id} was asked for by nobody ({command.request_id})"


def everything_is_over(case: Case) -> Iterator[str]:
    for command in case.evidence.commands:
        if command.finished_at is None:
            yield f"command {command.id} ({command.request_id}) has no finished_at"
        if not case.executions[command.id]:
            yield f"command {command.id} ({command.request_id}) has no executions"
    for item in case.evidence.executions:
        if item.state != "ended" or item.outcome is None or item.ended_at is None:
            pacer, holder = case.command_of(item).admin_id, case.evidence.holders.get(item.node, "")
            yield (
                f"{name_of(case, item)} is {item.state}, outcome {item.outcome}, ended at {item.ended_at};"
                f" paced by admin {pacer[:8]}, its node is with {holder[:8] or 'none'}"
            )


def each_node_has_one_execution(case: Case) -> Iterator[str]:
    for command_id, items in case.executions.items():
        account = case.accounts.get(case.commands[command_id].request_id)
        nodes = Counter(item.node for item in items)
        if account is not None and nodes != Counter(account.wish.nodes):
            yield f"command {command_id} has executions on {sorted(nodes.elements())}, wanted {account.wish.nodes}"


def outcomes_are_true(case: Case) -> Iterator[str]:
    for item in case.evidence.executions:
        begins, ends = case.marks_of(item)
        lie = _lie_about(item, begins, ends[0] if ends else None) if item.outcome is not None else ""
        if lie:
            marks = " and ".join(mark.word for mark in [*begins, *ends]) or "no mark"
            yield f"{name_of(case, item)} is {described(item)}, but {lie} (its node has {marks})"


def _lie_about(item: Execution, begins: Sequence[Mark], end: Mark | None) -> str:
    """Why the row cannot be true; empty when it can."""
    if item.outcome in _NEVER_RAN or item.started is False:
        return "it ran" if begins or end is not None else ""
    if item.outcome in {"ok", "failed"}:
        if not begins or end is None or end.ending is None:
            return "its process never came to its end"
        if (end.ending.exit_code, end.ending.signal) != (item.exit_code, item.signal):
            return f"its process ended with {' '.join(end.ending.words)}"
        return "0 and ok belong together" if (item.outcome == "ok") != (item.exit_code == 0) else ""
    if item.exit_code is not None and (end is None or end.ending is None or end.ending.exit_code != item.exit_code):
        return "its process did not end with that code"
    return ""


def outcomes_have_a_reason(case: Case) -> Iterator[str]:
    for item in case.evidence.executions:
        account = case.account_of(item)
        if account is not None and item.outcome is not None:
            wish, is_cancelled = account.wish, case.command_of(item).cancelled_at is not None
            is_ended_early = is_cancelled or wish.deadline is not None
            is_apart = bool(wish.stdin_bytes) and item.error_code == _NODE_ON_OTHER_ADMIN
            reasons = {
                "cancelled": is_ended_early,
                "timed_out": wish.timeout is not None,
                "not_started": is_ended_early or wish.max_errors is not None or is_apart,
                "expired": wish.offline == "queue",
                "offline": wish.offline != "queue",
                "dropped": False,
            }
            if not reasons.get(item.outcome, True):
                yield f"{name_of(case, item)} is {described(item)}, but nobody asked for that"
            if is_cancelled and not account.is_cancelled:
                yield f"{name_of(case, item)} belongs to a cancelled command that nobody cancelled"


def lost_only_where_a_runner_died(case: Case) -> Iterator[str]:
    for item in case.evidence.executions:
        if item.outcome == "lost" and (item.error_code == _FORGOTTEN or not case.has_died_during(item)):
            since, deaths = case.command_of(item).created_at, case.deaths_of(item.node)
            yield f"{name_of(case, item)} is {described(item)} from {since} to {item.ended_at}; runners died: {deaths}"


def offline_only_without_a_session(case: Case) -> Iterator[str]:
    """A session with another admin is one too. What an agent calls a session may be dead for a while already."""
    for item in case.evidence.executions:
        if item.outcome == "offline" and item.ended_at is not None:
            asked = case.command_of(item).created_at
            for session in case.evidence.sessions.get(item.node, ()):
                is_alive = session.until is None or item.ended_at < session.until - _DEAD_UNNOTICED
                if session.since + _OPENING < asked and is_alive:
                    yield (
                        f"{name_of(case, item)}, asked at {asked}, is offline at {item.ended_at},"
                        f" but it had a session from {session.since} to {session.until or 'the end'}"
                    )


def output_is_kept(case: Case) -> Iterator[str]:
    for item in case.evidence.executions:
        account = case.account_of(item)
        if came_to_its_end(item) and not item.truncated and account is not None:
            token = account.wish.token
            pieces = case.evidence.outputs.get(item.id, ())
            head = pieces[0][1] if pieces and pieces[0][0] == 0 else b""
            size = payload.printed_size(token, item.id, account.wish.output_bytes)
            stored = sum(len(data) for _, data in pieces)
            if not head.startswith(payload.unique_line(token, item.id)):
                yield f"{name_of(case, item)}: the stored output begins with {head[:60]!r}"
            elif item.stdout_bytes != size or (size <= _EXACT_LIMIT and stored != size):
                yield f"{name_of(case, item)}: {size} bytes printed, {item.stdout_bytes} counted, {stored} stored"


def output_is_cut_only_where_a_runner_died(case: Case) -> Iterator[str]:
    for item in case.evidence.executions:
        is_small = item.stdout_bytes <= _EXACT_LIMIT
        if came_to_its_end(item) and item.truncated and is_small and not case.has_died_during(item):
            yield f"{name_of(case, item)}: {item.stdout_bytes} bytes printed, and some of them are not to be had"


def stdin_arrived(case: Case) -> Iterator[str]:
    for item in case.evidence.executions:
        account, (_, ends) = case.account_of(item), case.marks_of(item)
        if item.outcome == "ok" and account is not None and ends:
            got, wanted = ends[0].stdin_bytes, account.wish.stdin_bytes
            if got != wanted:
                yield f"{name_of(case, item)} read {got} bytes of {wanted}"


def every_node_is_back(case: Case) -> Iterator[str]:
    for node, admin_id in case.evidence.holders.items():
        if not admin_id:
            yield f"{node} has no session"


def nothing_is_left_behind(case: Case) -> Iterator[str]:
    for process in case.evidence.processes:
        yield f"still running: {process}"
    for node, ids in case.evidence.journals.items():
        if ids:
            yield f"the journal of {node} still holds {', '.join(ids)}"
