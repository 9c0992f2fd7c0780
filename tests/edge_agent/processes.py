"""A runner as a real process and a test in the place of its agent; whatever they start is gone afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from edge_agent.runner import leftovers
from edge_agent.runner.protocol import Decoder, Message, encode
from edge_wire.release import PROGRAM
from tests.support.eventually import eventually

BOOT = "from edge_agent.runner import server; server.IDLE_SECONDS = {idle_seconds}"
ALL = 2**40
"""More credit than any test needs."""


def new_id() -> str:
    """An execution id as admins make them."""
    return str(uuid4())


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def working_on(directory: Path) -> list[int]:
    """Processes with this directory among their arguments: its runners, whoever started them."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and str(directory).encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def kill(pid: int) -> None:
    """SIGKILL to one process, gone or not."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Everything that an agent heard of an execution that is over."""

    fields: dict[str, Any]
    stdout: bytes
    stderr: bytes
    gaps: list[tuple[str, int, int]]
    truncated: bool


@dataclass
class Agent:
    """One connection to a runner."""

    connection: socket.socket
    runner: Runner
    decoder: Decoder = field(default_factory=Decoder)
    unread: list[Message] = field(default_factory=list)
    rounds: int = 0
    typed: dict[str, int] = field(default_factory=dict)

    def send(self, type_: str, **fields: Any) -> None:
        self.connection.sendall(encode(type_, **fields))

    def close(self) -> None:
        self.connection.close()

    def start(self, *argv: str, credit: int | None = ALL, execution_id: str = "", **options: Any) -> str:
        """Order an execution; with credit it is also asked for its output."""
        execution_id = execution_id or new_id()
        self.runner.ids.add(execution_id)
        request = {"timeout": None, "kill_after": 5.0, "exact": False, "spool_bytes": 256 * 1024, **options}
        self.send("start", id=execution_id, argv=list(argv), **request)
        if credit is not None:
            self.resume(execution_id, credit=credit)
        return execution_id

    def resume(self, execution_id: str, *, stdout: int = 0, stderr: int = 0, credit: int = ALL) -> None:
        self.rounds += 1
        order = {"stdout_offset": stdout, "stderr_offset": stderr, "credit": credit, "round": self.rounds}
        self.send("resume", id=execution_id, wanted=True, **order)

    def bring(self, execution_id: str, data: bytes, *, offset: int = 0, is_last: bool = False) -> None:
        """Send stdin; an order is no larger than the agent makes it."""
        self.connection.sendall(encode("stdin", data, id=execution_id, offset=offset, is_last=is_last))

    def type(self, execution_id: str, keys: str) -> None:
        """Send what somebody types next on its terminal."""
        data = keys.encode()
        self.bring(execution_id, data, offset=self.typed.get(execution_id, 0))
        self.typed[execution_id] = self.typed.get(execution_id, 0) + len(data)

    def read_until(self, execution_id: str, expected: bytes) -> bytes:
        """What it writes to stdout up to and with these bytes; what follows in the same message is dropped."""
        text = b""
        while expected not in text:
            text += self.take("output", execution_id).payload
        return text[: text.index(expected) + len(expected)]

    def take_wanted(self, execution_id: str, check: Callable[[int, int], bool] = lambda *_: True) -> tuple[int, int]:
        """Offset and limit of the next word about its stdin for which the check holds."""
        while True:
            said = self.take("stdin_wanted", execution_id).fields
            if check(said["offset"], said["limit"]):
                return said["offset"], said["limit"]

    def take(self, type_: str, execution_id: str | None = None) -> Message:
        """The next message of this type about this execution; others stay for later."""
        while True:
            for message in self.unread:
                if message.type == type_ and execution_id in {None, message.fields.get("id")}:
                    self.unread.remove(message)
                    return message
            self.unread += self._receive()

    def take_end(self, execution_id: str) -> Ended:
        """Everything up to the end of an execution and of its output."""
        end = self.take("ended", execution_id)
        drained = self.take("drained", execution_id)
        while drained.fields["round"] != self.rounds:
            drained = self.take("drained", execution_id)
        said = [message for message in self.unread if message.fields.get("id") == execution_id]
        output = {name: [m for m in said if m.type == "output" and m.fields["stream"] == name] for name in STREAMS}
        gaps = [m.fields for m in said if m.type == "gap"]
        return Ended(
            fields=end.fields,
            stdout=b"".join(m.payload for m in output["stdout"]),
            stderr=b"".join(m.payload for m in output["stderr"]),
            gaps=[(gap["stream"], gap["from_offset"], gap["to_offset"]) for gap in gaps],
            truncated=drained.fields["truncated"],
        )

    def run(self, *argv: str, **options: Any) -> Ended:
        return self.take_end(self.start(*argv, **options))

    def wait_for_close(self) -> None:
        """Read until the runner has closed the connection."""
        with contextlib.suppress(ConnectionResetError):
            while self.connection.recv(64 * 1024):
                pass

    def _receive(self) -> list[Message]:
        data = self.connection.recv(64 * 1024)
        assert data, f"the runner closed the connection: {self.runner.log()}"
        messages = self.decoder.feed(data)
        self.runner.started += [
            (message.fields["pid"], message.fields["start_ticks"]) for message in messages if message.type == "started"
        ]
        return messages


STREAMS = ("stdout", "stderr")


class Runner:
    """The runner of one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ids: set[str] = set()
        self.started: list[tuple[int, int]] = []
        self.agents: list[Agent] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The newest one."""
        return self.processes[-1]

    def launch(
        self, *, idle_seconds: float = 10.0, under: Sequence[str] = (), program: str = PROGRAM, change: str = ""
    ) -> subprocess.Popen[bytes]:
        """Start it, by a program that is replaced by it if there is one to go through, or as another version of it."""
        self.directory.mkdir(exist_ok=True, mode=0o700)
        boot = "\n".join([BOOT.format(idle_seconds=idle_seconds), change, "server.main()"])
        command = [*under, sys.executable, "-c", boot, str(self.directory), program]
        with (self.directory / "runner.log").open("ab") as log:
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        return self.process

    async def connect(self) -> Agent:
        """Take the agent's place, once the runner listens."""
        connection = await eventually(self._try_to_connect, what="a runner that listens")
        assert connection is not None
        self.agents.append(Agent(connection, self))
        return self.agents[-1]

    def marked(self) -> list[int]:
        """Processes of its executions that are alive."""
        return leftovers.find_marked(self.ids)

    def log(self) -> str:
        return (self.directory / "runner.log").read_text()

    def clean_up(self) -> None:
        """End everything, however the test went."""
        for agent in self.agents:
            agent.close()
        for process in self.processes:
            process.kill()
            process.wait()
        for pid, ticks in self.started:
            if leftovers.start_ticks(pid) == ticks:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
        leftovers.end_all(self.ids, {}, grace_seconds=0)

    def _try_to_connect(self) -> socket.socket | None:
        if all(process.poll() is not None for process in self.processes):
            raise ConnectionError(f"the runner has ended: {self.log()}")
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(20)
        try:
            connection.connect(str(self.directory / "sock"))
        except OSError:
            connection.close()
            return None
        return connection
