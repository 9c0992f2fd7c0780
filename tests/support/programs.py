"""Our programs as processes of their own: the real command line, and admins and agents that tests may kill."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

FINISH_WITHIN = 60.0
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A program that ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Its stdout."""
        return self.out.decode()

    @property
    def lines(self) -> list[str]:
        """Its stdout, line by line."""
        return self.text.splitlines()


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program: nothing of ours but what every program needs."""
    return {**{name: os.environ[name] for name in _PASSED_ON if name in os.environ}, **extra}


def module_argv(module: str, words: Sequence[str]) -> list[str]:
    """How one of our programs is called."""
    return [sys.executable, "-m", module, *words]


class Program:
    """One running process; stderr goes to a file, stdout to a file or to the test."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log

    @classmethod
    async def start(
        cls, module: str, *words: str, environ: Mapping[str, str], log: Path, prefix: Sequence[str] = ()
    ) -> Program:
        """Start one of ours; both outputs go to `log`."""
        return await cls.start_command(*prefix, *module_argv(module, words), environ=environ, log=log)

    @classmethod
    async def start_command(cls, *argv: str, environ: Mapping[str, str], log: Path) -> Program:
        """Start any program; both outputs go to `log`."""
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=clean_environment(environ),
                start_new_session=True,
            )
        return cls(process, log)

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.returncode is None

    @property
    def output(self) -> str:
        """What it wrote until now."""
        return self.log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.is_running:
            self.process.send_signal(number)

    async def wait(self) -> int:
        """Its exit code."""
        return await asyncio.wait_for(self.process.wait(), FINISH_WITHIN)

    async def kill(self) -> None:
        """SIGKILL to it and what it wraps, and wait until it is gone."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL when it takes too long."""
        self.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), 20.0)
        except TimeoutError:
            await self.kill()


async def run_program(
    module: str, *words: str, environ: Mapping[str, str], stdin: bytes = b"", prefix: Sequence[str] = ()
) -> Finished:
    """Run one of our programs to its end."""
    return await run_command(*prefix, *module_argv(module, words), environ=environ, stdin=stdin)


async def run_command(*argv: str, environ: Mapping[str, str], stdin: bytes = b"") -> Finished:
    """Run any program to its end."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=clean_environment(environ),
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin), FINISH_WITHIN)
    except BaseException:
        if process.returncode is None:
            process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Finished(code=process.returncode, out=out, err=err.decode(errors="replace"))
