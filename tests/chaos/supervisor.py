"""Keeps one of our programs running as systemd would: when it ends, it is started again after a moment."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import Program

_DEFAULT_REST = 1.0


def tied_prefix() -> tuple[str, ...]:
    """Makes a program end with us, even when we are killed; nothing where setpriv(1) is missing."""
    return ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()


@dataclass(frozen=True, kw_only=True)
class Unplanned:
    """An end that we did not cause."""

    name: str
    at: float
    code: int


class Supervised:
    """One program under supervision."""

    def __init__(self, name: str, module: str, *words: str, environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self.unplanned: list[Unplanned] = []
        self.starts = 0
        self.program: Program | None = None
        self._module, self._words, self._environ = module, words, environ
        self._rest: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False

    def start(self) -> None:
        """Begin to keep it running."""
        self._task = asyncio.create_task(self._keep(), name=f"supervise {self.name}")

    @property
    def is_running(self) -> bool:
        """Whether it runs right now."""
        return self.program is not None and self.program.is_running

    def kill(self, rest: float) -> bool:
        """SIGKILL; it is started again after so many seconds. False when it is not running."""
        if self.program is None or not self.program.is_running:
            return False
        self._rest = rest
        self.program.signal(signal.SIGKILL)
        return True

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL, and no new start."""
        self._is_stopping = True
        if self.program is not None and self.program.is_running:
            self.program.signal(signal.SIGCONT)
            await self.program.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.program is not None and self.program.is_running:  # it was being started while it was stopped
            await self.program.kill()

    async def _keep(self) -> None:
        while not self._is_stopping:
            self.program = await Program.start(
                self._module, *self._words, environ=self._environ, log=self.log, prefix=tied_prefix()
            )
            self.starts += 1
            code = await self.program.process.wait()
            if self._is_stopping:
                return
            rest, self._rest = self._rest, None
            if rest is None:
                self.unplanned.append(Unplanned(name=self.name, at=time.time(), code=code))
            await asyncio.sleep(_DEFAULT_REST if rest is None else rest)
