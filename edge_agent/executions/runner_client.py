"""The agent's end of the runner's socket: starts the runner if there is none, sends orders, passes on what it says."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, cast

import edge_agent
from edge_agent.runner import protocol
from edge_agent.runner.protocol import Message
from edge_wire.errors import Internal, ProtocolUnsupported
from edge_wire.release import PROGRAM

_CONNECT_SECONDS = 15.0
_PROBE_SECONDS = 0.01
_READ_BYTES = 1024 * 1024
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
        self._connection: _Connection | None = None
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
        while True:
            try:
                connection = await self._open()
                break
            # A runner that is just dying takes a connection and resets it.
            except OSError:
                if not is_launched:
                    await asyncio.to_thread(_launch, self._directory, runner_environment(self._hidden))
                    is_launched = True
                if asyncio.get_running_loop().time() > deadline:
                    raise Internal(f"the runner does not answer in {self._directory}") from None
                await asyncio.sleep(_PROBE_SECONDS)
        self._connection = connection
        # Whoever connects settles first what the welcome said.
        asyncio.get_running_loop().call_soon(connection.begin, self._told, self._died)

    @property
    def takes_work(self) -> bool:
        """Whether there is a runner that hears and stays."""
        return self._connection is not None and self._connection.is_open and not self.is_retired

    def retire(self) -> None:
        """Have it leave once it keeps nothing; `died` is called then."""
        self.is_retired = True
        self.send("quit")

    def send(self, type_: str, payload: bytes = b"", **fields: Any) -> None:
        """Send one order; an order to a dead runner is void."""
        if self._connection is not None:
            self._connection.send(protocol.encode(type_, payload, **fields))

    async def close(self) -> None:
        """Leave; the runner goes on."""
        if self._connection is not None:
            self._connection.leave()

    async def _open(self) -> _Connection:
        directory = os.open(self._directory, os.O_DIRECTORY | os.O_RDONLY | os.O_CLOEXEC)
        try:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_unix_connection(_Connection, f"/proc/self/fd/{directory}/sock")
        finally:
            os.close(directory)
        try:
            self._take_welcome((await connection.welcome).fields)
        except BaseException:
            connection.leave()
            raise
        return connection

    def _take_welcome(self, said: Mapping[str, Any]) -> None:
        if protocol.agreed(said.get("protocols", [1])) is None:
            raise ProtocolUnsupported("the node's runner is of a program that this agent does not understand")
        self.is_outdated = said.get("program", "") != PROGRAM
        self.instance_id = said["instance_id"]
        self.executions = {item["id"]: item for item in said["executions"]}


class _Connection(asyncio.BufferedProtocol):
    """The socket: what arrives is read where it is decoded. Until `begin`, what follows the welcome waits."""

    def __init__(self) -> None:
        self.welcome: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        """Fails with ConnectionResetError."""
        self.is_open = True
        self._decoder = protocol.Decoder(_READ_BYTES)
        self._transport: asyncio.Transport | None = None
        self._waiting: list[Message] = []
        self._outgoing: list[bytes] = []
        """Orders of this turn of the loop: they go in one write, and wake the runner once."""
        self._told: Callable[[Message], None] = self._waiting.append
        self._died: Callable[[], None] | None = None
        self._is_left = False

    def begin(self, told: Callable[[Message], None], died: Callable[[], None]) -> None:
        """Pass on what is said from the welcome on, and the end."""
        if self._is_left:
            return
        self._told = told
        for message in self._waiting:
            told(message)
        self._waiting = []
        self._died = died
        if not self.is_open:
            died()

    def send(self, data: bytes) -> None:
        """Send at the end of this turn of the loop; void when the runner is gone."""
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing.append(data)

    def leave(self) -> None:
        """Close, and hear nothing more."""
        self._flush()
        self._is_left = True
        self.is_open = False
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if outgoing and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(outgoing))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where to read to."""
        return self._decoder.room()

    def buffer_updated(self, nbytes: int) -> None:
        """So much was read."""
        try:
            messages = self._decoder.took(nbytes)
        except protocol.ProtocolError:
            self._end()
            return
        for message in messages:
            if not self.welcome.done():
                self.welcome.set_result(message)
            elif not self._is_left:
                self._told(message)

    def connection_lost(self, _reason: Exception | None) -> None:
        """The runner is gone."""
        self._end()

    def _end(self) -> None:
        if not self.is_open:
            return
        self.is_open = False
        if self._transport is not None:
            self._transport.close()
        if not self.welcome.done():
            self.welcome.set_exception(ConnectionResetError())
        elif self._died is not None:
            self._died()


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
