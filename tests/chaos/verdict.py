"""The proof: every promise as a claim over the evidence. Pure; a claim that does not hold is returned with what speaks
against it. It shares no code with the programs that it judges.
"""

from __future__ import annotations

import signal
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tests.chaos import payload
from tests.chaos.ledger import Account, Command, End, Evidence, Execution
from tests.chaos.payload import Mark

NEVER_RAN = frozenset({"offline", "not_started", "expired", "dropped"})
CORRECTABLE = {"lost": frozenset({"lost", "ok", "failed", "timed_out", "cancelled"})}
"""What late evidence may make of an outcome that somebody was told."""
_SLACK = timedelta(seconds=1)
_EXACT_LIMIT = 32 * 1024
"""Outputs up to this many bytes are surely stored whole."""


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A claim that does not hold."""

    claim: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.claim}: {self.evidence}"


class _Case:
    """The evidence, indexed once."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.accounts = {account.wish.token: account for account in evidence.accounts}
        self.commands = {command.id: command for command in evidence.commands}
        self.by_token = {command.request_id: command for command in evidence.commands}
        self.executions: dict[str, list[Execution]] = {command.id: [] for command in evidence.commands}
        for execution in evidence.executions:
            self.executions[execution.command_id].append(execution)
        self.begins: dict[tuple[str, str], list[Mark]] = defaultdict(list)
        self.ends: dict[tuple[str, str], list[Mark]] = defaultdict(list)
        for node, marks in evidence.marks.items():
            for mark in marks:
                (self.begins if mark.word == "begin" else self.ends)[node, mark.token].append(mark)

    def command_of(self, execution: Execution) -> Command:
        return self.commands[execution.command_id]

    def account_of(self, execution: Execution) -> Account | None:
        return self.accounts.get(self.command_of(execution).request_id)

    def marks_of(self, execution: Execution) -> tuple[list[Mark], list[Mark]]:
        key = (execution.node, self.command_of(execution).request_id)
        return self.begins.get(key, []), self.ends.get(key, [])


def judge(evidence: Evidence) -> list[Violation]:
    """Every claim that does not hold; none when all is well."""
    case = _Case(evidence)
    return [Violation(claim=claim, evidence=text) for claim, check in _CLAIMS.items() for text in check(case)]


def _nothing_ran_twice(case: _Case) -> Iterator[str]:
    for marks in (case.begins, case.ends):
        for (node, token), found in marks.items():
            if len(found) > 1:
                ids = ", ".join(mark.execution_id for mark in found)
                yield f"{node} has {len(found)} times {found[0].word} {token} ({ids})"


def _nothing_ran_unasked(case: _Case) -> Iterator[str]:
    known = {(item.id, item.node): case.command_of(item).request_id for item in case.evidence.executions}
    for (node, token), found in [*case.begins.items(), *case.ends.items()]:
        for mark in found:
            if known.get((mark.execution_id, node)) != token:
                yield f"{node} ran {token} as {mark.execution_id}, which no row of that node and command explains"
    for command in case.evidence.commands:
        if command.request_id not in case.accounts:
            yield f"command {command.id} was asked for by nobody ({command.request_id})"


def _everything_is_over(case: _Case) -> Iterator[str]:
    for command in case.evidence.commands:
        if command.finished_at is None:
            yield f"command {command.id} ({command.request_id}) has no finished_at"
        if not case.executions[command.id]:
            yield f"command {command.id} ({command.request_id}) has no executions"
    for item in case.evidence.executions:
        if item.state != "ended" or item.outcome is None or item.ended_at is None:
            yield f"{_name(case, item)} is {item.state}, outcome {item.outcome}, ended at {item.ended_at}"


def _each_node_has_one_execution(case: _Case) -> Iterator[str]:
    for command_id, items in case.executions.items():
        account = case.accounts.get(case.commands[command_id].request_id)
        nodes = Counter(item.node for item in items)
        if account is not None and nodes != Counter(account.wish.nodes):
            yield f"command {command_id} has executions on {sorted(nodes.elements())}, wanted {account.wish.nodes}"


def _outcomes_are_true(case: _Case) -> Iterator[str]:
    for item in case.evidence.executions:
        begins, ends = case.marks_of(item)
        lie = _lie_about(item, begins, ends[0] if ends else None) if item.outcome is not None else ""
        if lie:
            marks = " and ".join(mark.word for mark in [*begins, *ends]) or "no mark"
            yield f"{_name(case, item)} is {_described(item)}, but {lie} (its node has {marks})"


def _lie_about(item: Execution, begins: Sequence[Mark], end: Mark | None) -> str:
    """Why the row cannot be true; empty when it can."""
    if item.outcome in NEVER_RAN or item.started is False:
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


def _outcomes_have_a_reason(case: _Case) -> Iterator[str]:
    for item in case.evidence.executions:
        account = case.account_of(item)
        if account is not None and item.outcome is not None:
            wish, is_cancelled = account.wish, case.command_of(item).cancelled_at is not None
            is_ended_early = is_cancelled or wish.deadline is not None
            reasons = {
                "cancelled": is_ended_early,
                "timed_out": wish.timeout is not None,
                "not_started": is_ended_early or wish.max_errors is not None,
                "expired": wish.offline == "queue",
                "offline": wish.offline != "queue",
                "dropped": False,
            }
            if not reasons.get(item.outcome, True):
                yield f"{_name(case, item)} is {_described(item)}, but nobody asked for that"
            if is_cancelled and not account.is_cancelled:
                yield f"{_name(case, item)} belongs to a cancelled command that nobody cancelled"


def _lost_only_where_a_runner_died(case: _Case) -> Iterator[str]:
    for item in case.evidence.executions:
        if item.outcome == "lost":
            asked, ended = (
                case.command_of(item).created_at - _SLACK,
                (item.ended_at or case.command_of(item).created_at) + _SLACK,
            )
            deaths = [death.at for death in case.evidence.deaths if death.node == item.node]
            if not any(asked <= at <= ended for at in deaths):
                yield f"{_name(case, item)} is {_described(item)} between {asked} and {ended}; runners died: {deaths}"


def _clients_were_told_the_truth(case: _Case) -> Iterator[str]:
    for account in case.evidence.accounts:
        command = case.by_token.get(account.wish.token)
        items = {item.node: item for item in case.executions[command.id]} if command is not None else {}
        for node, told in account.ends.items():
            if node not in items or not _agrees(told, items[node]):
                stored = _described(items[node]) if node in items else "nothing"
                yield f"{account.wish.token} on {node}: told {told}, stored is {stored}"
        lie = _lie_of_exit_code(account, list(items.values()))
        if lie:
            rows = ", ".join(f"{item.node} {_described(item)}" for item in items.values())
            yield f"{account.wish.token}: edgectl ended with {account.exit_code}, but {lie} ({rows})"


def _agrees(told: End, item: Execution) -> bool:
    if told.outcome != item.outcome:
        return item.outcome in CORRECTABLE.get(told.outcome, ())
    return (told.exit_code, told.signal) == (item.exit_code, item.signal)


def _lie_of_exit_code(account: Account, items: Sequence[Execution]) -> str:
    """Why the exit code of edgectl cannot be true; empty when it can."""
    code = account.exit_code
    if code is None or account.wish.is_detached:
        return ""
    if account.wish.is_one_node:
        return _lie_of_one_code(account, code, items)
    told = [account.ends[item.node].outcome if item.node in account.ends else "no_contact" for item in items]
    unreached = [word for word in told if word in {"no_contact", "expired", "dropped", "lost", "offline"}]
    if account.wish.offline == "skip":
        unreached = [word for word in unreached if word != "offline"]
    lies = {
        0: bool(unreached or not items or set(told) - {"ok", "offline"}),
        3: bool(unreached or set(told) <= {"ok"}),
        4: not unreached,
        8: "not_started" not in told,
        124: account.wish.deadline is None,
    }
    return "the executions ended otherwise" if lies.get(code, False) else ""


def _lie_of_one_code(account: Account, code: int, items: Sequence[Execution]) -> str:
    if code in {255, 130}:
        return ""
    if not items:
        return "" if code else "there is no command"
    item = items[0]
    if code == 0 and item.outcome == "offline" and account.wish.offline == "skip":
        return ""
    allowed = {124} if item.outcome == "timed_out" or account.wish.deadline is not None else set()
    if item.signal:
        allowed.add(128 + int(signal.Signals[item.signal]))
    if item.exit_code is not None and item.outcome != "timed_out":
        allowed.add(item.exit_code)
    return "" if code in allowed else f"one of {sorted(allowed)} or 255 is true"


def _answers_are_kept(case: _Case) -> Iterator[str]:
    for account in case.evidence.accounts:
        command = case.by_token.get(account.wish.token)
        for answer in dict.fromkeys(account.answers):
            if command is None or command.id != answer:
                stored = command.id if command is not None else "nothing"
                yield f"{account.wish.token} was answered with command {answer}; stored is {stored}"
        if account.created > 1:
            yield f"{account.wish.token} was told {account.created} times that it made the command"
        if account.is_finished and command is not None and command.finished_at is None:
            yield f"{account.wish.token} heard the last word of command {command.id}, which is not finished"
    for token, count in Counter(command.request_id for command in case.evidence.commands).items():
        if count > 1:
            yield f"the request id {token} made {count} commands"


def _output_is_kept(case: _Case) -> Iterator[str]:
    for item in case.evidence.executions:
        account = case.account_of(item)
        if item.outcome == "ok" and not item.truncated and account is not None:
            token = account.wish.token
            pieces = case.evidence.outputs.get(item.id, ())
            head = pieces[0][1] if pieces and pieces[0][0] == 0 else b""
            size = payload.printed_size(token, item.id, account.wish.output_bytes)
            stored = sum(len(data) for _, data in pieces)
            if not head.startswith(payload.unique_line(token, item.id)):
                yield f"{_name(case, item)}: the stored output begins with {head[:60]!r}"
            elif item.stdout_bytes != size or (size <= _EXACT_LIMIT and stored != size):
                yield f"{_name(case, item)}: {size} bytes printed, {item.stdout_bytes} counted, {stored} stored"


def _stdin_arrived(case: _Case) -> Iterator[str]:
    for item in case.evidence.executions:
        account, (_, ends) = case.account_of(item), case.marks_of(item)
        if item.outcome == "ok" and account is not None and ends:
            got, wanted = ends[0].stdin_bytes, account.wish.stdin_bytes
            if got != wanted:
                yield f"{_name(case, item)} read {got} bytes of {wanted}"


def _nothing_is_left_behind(case: _Case) -> Iterator[str]:
    for process in case.evidence.processes:
        yield f"still running: {process}"
    for node, ids in case.evidence.journals.items():
        if ids:
            yield f"the journal of {node} still holds {', '.join(ids)}"


def _nobody_met_an_internal_error(case: _Case) -> Iterator[str]:
    for account in case.evidence.accounts:
        if "internal" in account.errors or (account.exit_code == 1 and not account.wish.is_one_node):
            yield f"{account.wish.token}: errors {account.errors}, exit code {account.exit_code}"


_CLAIMS: dict[str, Callable[[_Case], Iterator[str]]] = {
    "no execution ran twice": _nothing_ran_twice,
    "nothing ran that was not accepted": _nothing_ran_unasked,
    "every accepted command and execution has one final outcome": _everything_is_over,
    "every wanted node has exactly one execution": _each_node_has_one_execution,
    "every recorded outcome and exit code is true": _outcomes_are_true,
    "nothing ended in a way that nobody asked for": _outcomes_have_a_reason,
    "lost only where a runner died": _lost_only_where_a_runner_died,
    "clients were told the truth": _clients_were_told_the_truth,
    "an answer is kept, and a repeated request makes nothing new": _answers_are_kept,
    "the output of what ended well is stored": _output_is_kept,
    "what ended well had all of its stdin": _stdin_arrived,
    "nothing is left behind on the nodes": _nothing_is_left_behind,
    "nobody met an internal error": _nobody_met_an_internal_error,
}
CLAIMS = tuple(_CLAIMS)
"""What is proven, in words."""


def _name(case: _Case, item: Execution) -> str:
    return f"{case.command_of(item).request_id} on {item.node} ({item.id})"


def _described(item: Execution) -> str:
    how = item.signal or (f"exit code {item.exit_code}" if item.exit_code is not None else "")
    return " ".join(part for part in (item.outcome or item.state, how, item.error_code) if part)
