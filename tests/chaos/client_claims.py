"""What is claimed of clients: what they were told is what happened, and what they were answered is kept."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.chaos.case import Case, came_to_its_end, described, name_of
from tests.chaos.ledger import Account, End, Execution

_CORRECTABLE = {"lost": frozenset({"lost", "ok", "failed", "timed_out", "cancelled"})}
"""What late evidence may make of an outcome that somebody was told."""
_OWN_CODES = frozenset({9, 130, 143, 255})
"""edgectl itself failed, or was told to leave."""


def clients_were_told_the_truth(case: Case) -> Iterator[str]:
    for account in case.evidence.accounts:
        command = case.by_token.get(account.wish.token)
        items = {item.node: item for item in case.executions[command.id]} if command is not None else {}
        for node, told in account.ends.items():
            if node not in items or not _agrees(told, items[node]):
                stored = described(items[node]) if node in items else "nothing"
                yield f"{account.wish.token} on {node}: told {told}, stored is {stored}"
        lie = _lie_of_exit_code(account, list(items.values()))
        if lie:
            rows = ", ".join(f"{item.node} {described(item)}" for item in items.values())
            yield f"{account.wish.token}: edgectl ended with {account.exit_code}, but {lie} ({rows})"


def _agrees(told: End, item: Execution) -> bool:
    if told.outcome != item.outcome:
        return item.outcome in _CORRECTABLE.get(told.outcome, ())
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


def answers_are_kept(case: Case) -> Iterator[str]:
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


def clients_received_every_byte(case: Case) -> Iterator[str]:
    for item in case.evidence.executions:
        account = case.account_of(item)
        if account is not None and item.node in account.ends and account.exit_code is not None:
            got, missed = account.received[item.node], account.missed[item.node]
            is_exact = account.wish.is_one_node and account.exit_code not in _OWN_CODES
            if came_to_its_end(item) and (got + missed != item.stdout_bytes or (is_exact and missed)):
                yield f"{name_of(case, item)}: {item.stdout_bytes} bytes printed, {got} received, {missed} missed"


def nobody_waits_for_what_is_over(case: Case) -> Iterator[str]:
    for token in case.evidence.waiting:
        yield f"{token}: its client waits on"


def nobody_met_an_internal_error(case: Case) -> Iterator[str]:
    for account in case.evidence.accounts:
        if "internal" in account.errors or (account.exit_code == 1 and not account.wish.is_one_node):
            yield f"{account.wish.token}: errors {account.errors}, exit code {account.exit_code}"
