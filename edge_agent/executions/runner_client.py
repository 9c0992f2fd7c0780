"""The agent's end of the runner's socket: starts the runner if there is none, sends orders, passes on what it says."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import edge_agent
from edge_agent.runner import protocol
from edge_agent.runner.protocol import Message
from edge_wire.errors import Internal, ProtocolUnsupported
from edge_wire.release import PROGRAM

_CONNECT_SECONDS = 15.0
_PROBE_SECONDS = 0.01
_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from edge_agent.runner.server import main; main()"


class RunnerClient:
    """One connection to the runner of a data directory."""

    def __init__(
        self,
        directory: Path,
        *,
        hidden: Collection[str],
        told: Callable[[Message], None],
        died: Callable[[], None],
    ) -> None:
        self._directory = directory
        self._hidden = hidden
        self._told = told
        self._died = died
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self.is_retired = False
        """It was told to leave when it keeps nothing, and gets no more work."""
        self.is_outdated = False
        """It is of another version of this program."""
        self.instance_id = ""
        self.executions: dict[str, dict[str, Any]] = {}
        """What it held when we connected."""

    async def connect(self) -> None:
        """Connect to the runner, starting one when there is none. Raises Internal, ProtocolUnsupported."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        deadline = asyncio.get_running_loop().time() + _CONNECT_SECONDS
        is_launched = False
        decoder = protocol.Decoder()
        while True:
            try:
                reader, self._writer = await self._open()
                rest = await self._read_welcome(reader, decoder)
                break
            # A runner that is just dying takes a connection and resets it.
            except OSError:
                decoder = protocol.Decoder()
                if not is_launched:
                    await asyncio.to_thread(_launch, self._directory, runner_environment(self._hidden))
                    is_launched = True
                if asyncio.get_running_loop().time() > deadline:
                    raise Internal(f"the runner does not answer in {self._directory}") from None
                await asyncio.sleep(_PROBE_SECONDS)
        self._reading = asyncio.create_task(self._read(reader, decoder, rest))

    @property
    def takes_work(self) -> bool:
        """Whether there is a runner that hears and stays."""
        return self._reading is not None and not self._reading.done() and not self.is_retired

    def retire(self) -> None:
        """Have it leave once it keeps nothing; `died` is called then."""
        self.is_retired = True
        self.send("quit")

    def send(self, type_: str, payload: bytes = b"", **fields: Any) -> None:
        """Send one order; an order to a dead runner is void."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(protocol.encode(type_, payload, **fields))

    async def close(self) -> None:
        """Leave; the runner goes on."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        if self._writer is not None:
            self._writer.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        directory = os.open(self._directory, os.O_DIRECTORY | os.O_RDONLY | os.O_CLOEXEC)
        try:
            return await asyncio.open_unix_connection(f"/proc/self/fd/{directory}/sock", limit=1024 * 1024)
        finally:
            os.close(directory)

    async def _read_welcome(self, reader: asyncio.StreamReader, decoder: protocol.Decoder) -> list[Message]:
        while True:
            data = await reader.read(64 * 1024)
            if not data:
                raise ConnectionResetError
            messages = decoder.feed(data)
            if messages:
                self._take_welcome(messages[0].fields)
                return messages[1:]

    def _take_welcome(self, said: Mapping[str, Any]) -> None:
        if protocol.agreed(said.get("protocols", [1])) is None:
            raise ProtocolUnsupported("the node's runner is of a program that this agent does not understand")
        self.is_outdated = said.get("program", "") != PROGRAM
        self.instance_id = said["instance_id"]
        self.executions = {item["id"]: item for item in said["executions"]}

    async def _read(self, reader: asyncio.StreamReader, decoder: protocol.Decoder, first: list[Message]) -> None:
        messages = first
        while True:
            for message in messages:
                self._told(message)
            try:
                data = await reader.read(256 * 1024)
                messages = decoder.feed(data)
            except (OSError, protocol.ProtocolError):
                data = b""
            if not data:
                self._died()
                return


def runner_environment(hidden: Collection[str]) -> Mapping[str, str]:
    """What commands find in their environment: the agent's own, without its settings and secrets."""
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    kept.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    kept.setdefault("HOME", "/root" if os.geteuid() == 0 else "/")
    return kept


def _launch(directory: Path, environment: Mapping[str, str]) -> None:
    """Start a detached runner. The intermediate shell makes it a child of init, so nobody has to wait for it."""
    root = str(Path(edge_agent.__file__).resolve().parent.parent)
    command = [sys.executable, "-I", "-S", "-c", _BOOT, root, str(directory), PROGRAM]
    subprocess.run(
        ["/bin/sh", "-c", '"$@" >/dev/null 2>runner.log </dev/null &', "sh", *command],
        cwd=directory,
        start_new_session=True,
        check=True,
        env=environment,
    )
