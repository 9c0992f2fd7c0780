"""A program on a pseudo-terminal: what a person sees, and what they type."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.programs import clean_environment, module_argv

COLUMNS = 80
_CONTROLS = re.compile(r"\x1b\[\??(\d*)([A-Za-z])|\r|\n|[^\x1b\r\n]+")


class Terminal:
    """One of our programs with a terminal for stdin, stdout and stderr; stdout may go to a file instead."""

    def __init__(self, process: asyncio.subprocess.Process, master: int) -> None:
        self.process = process
        self._master = master
        self._seen = bytearray()
        os.set_blocking(master, False)
        asyncio.get_running_loop().add_reader(master, self._read)

    @classmethod
    async def start(
        cls, *words: str, environ: Mapping[str, str], stdout: Path | None = None, rows: int = 24
    ) -> Terminal:
        """Start `edgectl` on a new terminal, which is its controlling one."""
        return await cls.run(module_argv("edgectl", words), environ=environ, stdout=stdout, size=(rows, COLUMNS))

    @classmethod
    async def run(
        cls,
        argv: Sequence[str],
        *,
        environ: Mapping[str, str],
        stdout: Path | None = None,
        size: tuple[int, int] = (24, COLUMNS),
    ) -> Terminal:
        """Start any program on a new terminal, which is its controlling one; `size` is in lines and columns."""
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, size)
        try:
            output = stdout.open("wb") if stdout else None
            process = await asyncio.create_subprocess_exec(
                "setsid",
                "--ctty",
                *argv,
                stdin=slave,
                stdout=output or slave,
                stderr=slave,
                env=clean_environment({"TERM": "xterm", **environ}),
            )
            if output:
                output.close()
        finally:
            os.close(slave)
        return cls(process, master)

    @property
    def screen(self) -> str:
        """Everything that was shown, with carriage returns as the terminal made them."""
        return self._seen.decode(errors="replace")

    @property
    def visible(self) -> list[str]:
        """The lines that a person sees now, without colours. Knows the controls that edgectl uses."""
        lines, row, column = [""], 0, 0
        for match in _CONTROLS.finditer(self.screen):
            text, kind = match[0], match[2]
            if text == "\r":
                column = 0
            elif text == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif kind == "A":
                row -= int(match[1])
            elif kind in {"K", "J"}:
                lines[row] = lines[row][:column]
                del lines[row + 1 if kind == "J" else len(lines) :]
            elif kind is None:
                lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + len(text) :]
                column += len(text)
        return [line for line in lines if line]

    async def until(self, text: str) -> None:
        """Wait until this was shown."""
        await eventually(lambda: text in self.screen, within=20.0, what=f"{text!r} in {self.screen!r}")

    def type(self, text: str) -> None:
        """Type; `\\x03` is Ctrl-C."""
        os.write(self._master, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        """Make the window another size, as dragging its corner does."""
        termios.tcsetwinsize(self._master, (rows, columns))

    async def wait(self) -> int:
        """The exit code; the terminal stays readable until the last byte was seen."""
        code = await asyncio.wait_for(self.process.wait(), 30.0)
        self._read()
        return code

    def close(self) -> None:
        """Take the terminal away."""
        asyncio.get_running_loop().remove_reader(self._master)
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        os.close(self._master)

    def _read(self) -> None:
        with suppress(OSError):  # the other side is closed, or nothing is there
            while data := os.read(self._master, 65536):
                self._seen += data
