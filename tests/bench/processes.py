"""Processes of the benchmark: started with a line protocol, watched by /proc, and ended whatever happens."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from tests.support.programs import clean_environment

ROOT = Path(__file__).resolve().parents[2]
ResultT = TypeVar("ResultT")

_STOP_SECONDS = 30.0
_LINE_LIMIT = 64 * 1024 * 1024


class Failed(Exception):
    """The benchmark cannot go on: what it measures did not do what it should."""


def start_limit(nodes: int) -> float:
    """Seconds that so many nodes may take to start, on a slow and busy machine."""
    return 120.0 + nodes * 0.2


async def within(seconds: float, work: Awaitable[ResultT], what: str) -> ResultT:
    """Wait for it. Raises Failed when it takes too long."""
    try:
        return await asyncio.wait_for(work, seconds)
    except TimeoutError:
        raise Failed(f"not within {seconds:.0f} s: {what}") from None


class Helper:
    """One of our own helper processes: JSON lines in and out; it ends when its stdin does."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @classmethod
    async def start(cls, module: str, config: dict[str, Any], log: Path) -> Helper:
        """Start `python -m module` and give it its configuration."""
        environ = clean_environment({"PYTHONPATH": str(ROOT), "GRPC_VERBOSITY": "NONE", **_profiling()})
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=environ,
                start_new_session=True,
                limit=_LINE_LIMIT,
            )
        helper = cls(process, log)
        helper._send(config)
        return helper

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def ask(self, question: str, **fields: Any) -> dict[str, Any]:
        """Send one line and read the next. Raises Failed."""
        self._send({"do": question, **fields})
        return await self.hear()

    async def hear(self) -> dict[str, Any]:
        """Read one line. Raises Failed when the process has ended."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise Failed(f"a helper process ended:\n{self._log.read_text(errors='replace')[-2000:]}")
        found: dict[str, Any] = json.loads(line)
        return found

    async def stop(self) -> None:
        """Let it end by itself, then kill it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")


def _profiling() -> dict[str, str]:
    return {name: os.environ[name] for name in ("BENCH_PROFILE",) if name in os.environ}


def end_runner(pid_file: Path) -> None:
    """End a runner, if it is still the process that wrote the file."""
    with suppress(OSError, ValueError, KeyError):
        pid = int(json.loads(pid_file.read_text())["pid"])
        if str(pid_file.parent).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGTERM)


def cpu_seconds(pids: Sequence[int]) -> float:
    """Processor time that these processes have used, in user and kernel together."""
    return sum(_cpu_of(pid) for pid in pids)


def process_cpu_seconds(pids: Sequence[int]) -> float:
    """The same with the threads that have ended, in ticks of 10 ms."""
    ticks = 0
    for pid in pids:
        with suppress(OSError):  # it has just ended
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def cpu_seconds_with_ended(pids: Sequence[int]) -> float:
    """The same with the children that have ended and theirs, as soon as they are waited for."""
    ticks = 0
    for pid in pids:
        with suppress(OSError):  # it has just ended
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def family(pids: Sequence[int]) -> list[int]:
    """These processes and all that descend from them."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found = list(pids)
    for pid in found:
        found += children.get(pid, [])
    return found


def resident_kib(pid: int, field: str = "VmRSS") -> int:
    """Resident memory; `VmHWM` is the most there ever was."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    return 0


def memory_parts(pid: int) -> dict[str, int]:
    """What resident memory is made of, in KiB: of its own and shared with others."""
    found: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        if name in {"Rss", "Pss", "Pss_Anon", "Pss_File", "Private_Dirty", "Private_Clean"}:
            found[name] = int(rest.split()[0])
    return found


def _cpu_of(pid: int) -> float:
    """Of all threads that live now: exact to the microsecond, where /proc/PID/stat counts in ticks."""
    spent = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):  # the thread has just ended
            spent += int(path.read_text().split()[0])
    return spent / 1e9
