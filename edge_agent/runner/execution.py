"""One execution in the runner: its process group, its pipes, its spools, its deadlines and its end.

Standard library only. Time is the monotonic clock in seconds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal
from uuid import uuid4

from edge_agent.runner import leftovers
from edge_agent.runner.spool import Spool

StreamName = Literal["stdout", "stderr"]
STREAMS: tuple[StreamName, ...] = ("stdout", "stderr")

CHUNK = 64 * 1024
GATHER_SECONDS = 0.02
"""Output waits this long for more before it is sent."""
DRAIN_SECONDS = 1.0
"""After the main process is over, how long its output is still read."""


@dataclass
class Output:
    """One stream of one execution."""

    spool: Spool
    pipe: int | None
    sent: int = 0
    """Offset of the next byte to send to the agent."""
    unsent_since: float | None = None
    has_gap: bool = False
    is_unwanted: bool = False
    """The agent wants none of it."""


@dataclass
class Execution:
    """One execution and everything that the runner knows of it."""

    id: str
    exact: bool
    kill_after: float
    outputs: dict[StreamName, Output]
    process: subprocess.Popen[bytes] | None = None
    pidfd: int | None = None
    start_ticks: int = 0
    started_at: float = 0.0
    deadline: float | None = None
    stop_reason: Literal["", "timed_out", "cancelled"] = ""
    kill_at: float | None = None
    is_killed: bool = False
    exited_at: float | None = None
    drain_until: float | None = None
    end: dict[str, Any] | None = None
    is_end_told: bool = False
    is_drain_told: bool = False
    round: int = 0
    """Which resume of the agent is being served."""
    credit: int | None = None
    """Total that may have been sent since start or resume; None until the agent asks."""
    credited: int = 0
    """Total sent since start or resume."""

    @property
    def is_over(self) -> bool:
        """Whether the end is known."""
        return self.end is not None

    def snapshot(self) -> dict[str, Any]:
        """What a new agent is told of it."""
        return {
            "id": self.id,
            "pid": self.process.pid if self.process else 0,
            "start_ticks": self.start_ticks,
            "ended": self.is_over,
        }

    # --- life ----------------------------------------------------------------------------------------------------

    def stop(self, reason: Literal["timed_out", "cancelled"], kill_after: float, now: float) -> None:
        """Begin to end the whole process group: SIGTERM now, SIGKILL after the grace."""
        if self.process is None or self.exited_at is not None or self.stop_reason:
            return
        self.stop_reason = reason
        self.kill_at = now + kill_after
        self.signal_all(signal.SIGTERM)

    def signal_all(self, number: signal.Signals) -> None:
        """Signal the process group and everything that carries this execution's mark."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)
        for pid in leftovers.find_marked({self.id}):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def note_exit(self, now: float) -> None:
        """The main process is over; its output is drained for a moment."""
        assert self.process is not None
        self.process.wait()
        self.exited_at = now
        self.drain_until = now + DRAIN_SECONDS

    @property
    def has_company(self) -> bool:
        """Whether others of its process group live on after the main process."""
        assert self.process is not None
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return leftovers.has_live_member(self.process.pid)

    def finish(self, *, held_open: bool) -> None:
        """State the end."""
        assert self.process is not None
        assert self.exited_at is not None
        code = self.process.wait()
        self.end = {
            "stop_reason": self.stop_reason,
            "exit_code": code if code >= 0 else None,
            "signal": _signal_name(-code) if code < 0 else "",
            "duration": self.exited_at - self.started_at,
            "held_open": held_open,
            "error_code": "",
            "error_message": "",
            "started": True,
        }

    def fail(self, code: str, message: str, exit_code: int | None) -> None:
        """State that there never was a process."""
        self.end = {
            "stop_reason": "",
            "exit_code": exit_code,
            "signal": "",
            "duration": None,
            "held_open": False,
            "error_code": code,
            "error_message": message,
            "started": False,
        }

    def end_fields(self) -> dict[str, Any]:
        """The end as it is sent, with the byte counts."""
        assert self.end is not None
        counts = {f"{name}_bytes": self.outputs[name].spool.end for name in STREAMS}
        return {**self.end, **counts, "truncated": any(output.has_gap for output in self.outputs.values())}

    def close(self) -> None:
        """Let everything go."""
        for output in self.outputs.values():
            output.spool.close()


@dataclass(frozen=True, kw_only=True)
class StartRequest:
    """What the agent wants started."""

    id: str
    argv: list[str]
    timeout: float | None
    kill_after: float
    exact: bool
    environment: Mapping[str, str] = field(repr=False)
    spool_bytes: int


def start(request: StartRequest, spool_dir: Path, now: float) -> Execution:
    """Start one execution; one that cannot be started is over at once."""
    share = max(CHUNK, request.spool_bytes // 4)
    # Not named after the id, which somebody else made up.
    spool = spool_dir / uuid4().hex
    outputs = {
        name: Output(Spool(spool.with_suffix(f".{name}"), head_limit=share, ring_limit=share), None) for name in STREAMS
    }
    execution = Execution(request.id, request.exact, float(request.kill_after), outputs, started_at=now)
    # Everything that a bad request could break comes before there is a process.
    execution.deadline = now + request.timeout if request.timeout is not None else None
    program = request.argv[0]
    try:
        process = _spawn(request)
    except OSError as error:
        execution.fail(*_spawn_failure(error, program))
        return execution
    execution.process = process
    execution.pidfd = os.pidfd_open(process.pid)
    execution.start_ticks = leftovers.start_ticks(process.pid) or 0
    for name, stream in (("stdout", process.stdout), ("stderr", process.stderr)):
        outputs[name].pipe = _own_pipe(stream)  # type: ignore[index]  # both names are StreamName
    return execution


def _own_pipe(stream: IO[bytes] | None) -> int:
    assert stream is not None
    descriptor = os.dup(stream.fileno())
    stream.close()
    os.set_blocking(descriptor, False)
    return descriptor


def _spawn(request: StartRequest) -> subprocess.Popen[bytes]:
    # No preexec_fn and no user change here: either would cost vfork, and with it half of the spawn rate.
    return subprocess.Popen(
        request.argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env={**request.environment, leftovers.MARK: request.id},
        start_new_session=True,
        close_fds=True,
    )


def _spawn_failure(error: OSError, program: str) -> tuple[str, str, int | None]:
    """Code, message and exit code, the latter as shells have it."""
    if error.errno == errno.ENOENT:
        return "program_not_found", f"{program}: not found on the node", 127
    if error.errno in {errno.EACCES, errno.ENOEXEC, errno.EISDIR}:
        return "program_not_executable", f"{program}: cannot be executed on the node", 126
    if error.errno == errno.E2BIG:
        return "argv_too_large", "the command is larger than the node's kernel takes", 126
    return "spawn_failed", f"{program}: {error.strerror}", None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


def monotonic() -> float:
    """Seconds of the clock that all deadlines use."""
    return time.monotonic()
