"""The evidence of a run, indexed once, and how its parts are called in a verdict."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from tests.chaos.ledger import Account, Command, Evidence, Execution
from tests.chaos.payload import Mark

_SLACK = timedelta(seconds=1)


class Case:
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

    def deaths_of(self, node: str) -> list[datetime]:
        return [death.at for death in self.evidence.deaths if death.node == node]

    def has_died_during(self, item: Execution) -> bool:
        """Whether the runner of its node was killed between the command's acceptance and the execution's end."""
        since = self.command_of(item).created_at
        until = item.ended_at or since
        return any(since - _SLACK <= at <= until + _SLACK for at in self.deaths_of(item.node))


def came_to_its_end(item: Execution) -> bool:
    return item.outcome in {"ok", "failed"} and item.started is True


def name_of(case: Case, item: Execution) -> str:
    return f"{case.command_of(item).request_id} on {item.node} ({item.id})"


def described(item: Execution) -> str:
    how = item.signal or (f"exit code {item.exit_code}" if item.exit_code is not None else "")
    return " ".join(part for part in (item.outcome or item.state, how, item.error_code) if part)
