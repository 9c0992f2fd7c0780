"""An agent that kills itself at a chosen moment in the life of one execution: python -m … DATA_DIR MOMENT ID SHELL."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from edge_agent.executions.executions import Executions
from edge_agent.executions.journal_file import JournalFile
from edge_agent.executions.runner_client import RunnerClient
from edge_agent.runner.protocol import Message
from tests.edge_agent.node import Node

RECORDS = ("accepted", "started", "ended", "forgotten")
MESSAGES_SENT = ("start", "resume", "forget")
MESSAGES_TOLD = ("started", "ended", "drained")
MOMENTS = [
    *(f"{when} record {kind}" for kind in RECORDS for when in ("before", "within", "unsynced", "after")),
    *(f"{when} order {kind}" for kind in MESSAGES_SENT for when in ("before", "after")),
    *(f"{when} message {kind}" for kind in MESSAGES_TOLD for when in ("before", "after")),
]
"""Within: half of the record is in the file. Unsynced: all of it is, and fsync was not called."""


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("it survives")


def break_journal(when: str, kind: str) -> None:
    """Die around the write of the first record of this kind."""
    append, sync = JournalFile.append, os.fdatasync
    mark = f'"type":"{kind}"'.encode()

    def append_and_die(self: JournalFile, data: bytes, *, is_synced: bool) -> None:
        if mark not in data:
            append(self, data, is_synced=is_synced)
            return
        if when == "before":
            die()
        if when == "within":
            append(self, data[: data.index(mark) + len(mark)], is_synced=False)
            die()
        if when == "unsynced":
            os.fdatasync = lambda _: die()  # type: ignore[assignment]
        append(self, data, is_synced=is_synced)
        os.fdatasync = sync
        die()

    JournalFile.append = append_and_die  # type: ignore[method-assign]


def break_orders(when: str, kind: str) -> None:
    """Die around the first order of this kind to the runner."""
    send = RunnerClient.send

    def send_and_die(self: RunnerClient, type_: str, payload: bytes = b"", **fields: Any) -> None:
        if type_ != kind:
            send(self, type_, payload, **fields)
            return
        if when == "after":
            send(self, type_, payload, **fields)
            assert self._connection is not None
            self._connection._flush()
        die()

    RunnerClient.send = send_and_die  # type: ignore[method-assign]


def break_messages(when: str, kind: str) -> None:
    """Die around taking the first message of this kind from the runner."""
    told = Executions._told

    def told_and_die(self: Executions, message: Message) -> None:
        if message.type != kind:
            told(self, message)
            return
        if when == "after":
            told(self, message)
        die()

    Executions._told = told_and_die  # type: ignore[method-assign]


BREAK: dict[str, Callable[[str, str], None]] = {
    "record": break_journal,
    "order": break_orders,
    "message": break_messages,
}


async def main(data_dir: str, moment: str, execution_id: str, shell: str) -> None:
    when, what, kind = moment.split()
    BREAK[what](when, kind)
    node = Node(Path(data_dir))
    await node.start()
    node.run(shell, execution_id=execution_id)
    await node.end(execution_id)
    node.acknowledge(execution_id)
    await node.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
