"""Brings stdin from the agent to processes and tells it how far they are. Standard library only."""

from __future__ import annotations

import os

from edge_agent.runner.delivery import Delivery
from edge_agent.runner.execution import Execution
from edge_agent.runner.stdin import Stdin
from edge_agent.runner.watch import Watch


class StdinFeeder:
    """Feeds the stdin of executions when the loop finds that they take it."""

    def __init__(self, watch: Watch, delivery: Delivery) -> None:
        self._watch = watch
        self._delivery = delivery

    def attach(self, execution: Execution) -> None:
        """Notice from now on when its process closes its stdin."""
        if execution.stdin is not None:
            self._watch_on(execution, execution.stdin)

    def take(self, execution: Execution, offset: int, data: bytes, *, is_last: bool) -> None:
        """Take bytes from the agent; void for an execution without stdin."""
        stdin = execution.stdin
        if stdin is None:
            return
        if stdin.is_over:
            self._delivery.tell_stdin(execution)
            return
        is_understood = stdin.take(offset, data, is_last=is_last)
        self._watch_on(execution, stdin)
        if not is_understood or stdin.is_worth_telling:
            self._delivery.tell_stdin(execution)

    def close(self, execution: Execution) -> None:
        """The process is over."""
        stdin = execution.stdin
        if stdin is not None and not stdin.is_over:
            stdin.end()
            self._watch_on(execution, stdin)
            self._delivery.tell_stdin(execution)

    def _write(self, execution: Execution, stdin: Stdin) -> None:
        if stdin.is_over:
            return  # by what else happened in this round of the loop
        stdin.write()
        self._watch_on(execution, stdin)
        if stdin.is_worth_telling:
            self._delivery.tell_stdin(execution)

    def _watch_on(self, execution: Execution, stdin: Stdin) -> None:
        """Watch what is to be watched now. The descriptor is closed here, once."""
        if not stdin.is_over and stdin.events:
            self._watch.add(stdin.descriptor, lambda: self._write(execution, stdin), stdin.events)
            return
        self._watch.drop(stdin.descriptor)
        if stdin.is_over:
            os.close(stdin.descriptor)
