"""Stand-ins for an agent's own connection to its own runner: one real runner shared by several agents, or none.

A shared runner costs less memory than one per agent; what it cannot do is tell agents apart, so "detach" stays away
from it. The null runner says at once that everything ended with exit code 0, without any process.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from edge_agent.executions.runner_client import RunnerClient
from edge_agent.runner.protocol import Message
from edge_agent.settings import HIDDEN


class SharedRunner:
    """A real runner behind one connection."""

    def __init__(self, directory: Path) -> None:
        self.client = RunnerClient(directory, hidden=HIDDEN, told=self._told, died=self._died)
        self._connecting = asyncio.Lock()
        self._owners: dict[str, SharedPort] = {}
        self._users = 0

    async def join(self) -> None:
        """One more agent uses it."""
        async with self._connecting:
            if not self.client.takes_work:
                await self.client.connect()
        self._users += 1

    async def leave(self) -> None:
        """The last one ends it."""
        self._users -= 1
        if self._users == 0:
            self.client.send("quit")
            await self.client.close()

    def send(self, port: SharedPort, type_: str, payload: bytes, fields: dict[str, Any]) -> None:
        """Pass an order on and remember whose execution it is about."""
        if type_ in {"quit", "detach"}:
            return
        if type_ == "forget":
            self._owners.pop(fields["id"], None)
        else:
            self._owners[fields["id"]] = port
        self.client.send(type_, payload, **fields)

    def _told(self, message: Message) -> None:
        owner = self._owners.get(message.fields.get("id", ""))
        if owner is not None:
            owner.told(message)

    def _died(self) -> None:
        raise RuntimeError("a runner died under the benchmark")


class SharedPort(RunnerClient):
    """One agent's share of a runner."""

    def __init__(self, runner: SharedRunner, directory: Path, **wires: Any) -> None:
        super().__init__(directory, hidden=HIDDEN, **wires)
        self._runner = runner

    async def connect(self) -> None:
        await self._runner.join()
        self.instance_id = self._runner.client.instance_id

    @property
    def takes_work(self) -> bool:
        return self._runner.client.takes_work

    def send(self, type_: str, payload: bytes = b"", **fields: Any) -> None:
        self._runner.send(self, type_, payload, fields)

    def told(self, message: Message) -> None:
        """What the runner says about one of this agent's executions."""
        self._told(message)

    async def close(self) -> None:
        await self._runner.leave()


class NullRunner(RunnerClient):
    """No runner: every execution ends at once."""

    def __init__(self, directory: Path, **wires: Any) -> None:
        super().__init__(directory, hidden=HIDDEN, **wires)
        self.instance_id = "null"
        self._ended: set[str] = set()

    async def connect(self) -> None:
        pass

    @property
    def takes_work(self) -> bool:
        return True

    def send(self, type_: str, payload: bytes = b"", **fields: Any) -> None:
        if type_ == "start":
            asyncio.get_running_loop().call_soon(self._end, fields["id"])
        elif type_ == "resume":
            asyncio.get_running_loop().call_soon(self._drain, fields["id"], fields["round"])
        elif type_ == "forget":
            self._ended.discard(fields["id"])

    async def close(self) -> None:
        pass

    def _end(self, execution_id: str) -> None:
        if execution_id in self._ended:
            return
        self._ended.add(execution_id)
        self._told(Message(type="started", fields={"id": execution_id, "pid": 1, "start_ticks": 1}))
        self._told(Message(type="ended", fields={"id": execution_id, **_END}))

    def _drain(self, execution_id: str, number: int) -> None:
        self._told(Message(type="drained", fields={"id": execution_id, "round": number, "truncated": False}))


_END = {
    "stop_reason": "",
    "exit_code": 0,
    "signal": "",
    "duration": 0.0,
    "held_open": False,
    "error_code": "",
    "error_message": "",
    "started": True,
    "stdout_bytes": 0,
    "stderr_bytes": 0,
    "truncated": False,
}
