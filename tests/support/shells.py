"""Real shells at a prompt, with `edgectl` in their PATH and its completion loaded: what TAB does to a line.

What stands on the line after TAB is found by having the shell run it: `edgectl` is a stand-in there that prints its
words, and is the real one only for completion.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.programs import clean_environment
from tests.support.terminal import Terminal

EDGECTL = """#!/bin/sh
case $1 in
    __complete | completion) exec {python} -m edgectl "$@" ;;
esac
for word in edgectl "$@"; do printf '<%s>' "$word"; done
echo '<>'
"""
_SHOWN = re.compile(r"(<edgectl>.*?)<>")

STARTS: Mapping[str, Sequence[str]] = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "--interactive"],
}
LOADS = {
    "bash": "source <(edgectl completion bash)",
    "zsh": "autoload -Uz compinit; compinit -i -D; source <(edgectl completion zsh)",
    "fish": "edgectl completion fish | source",
}


def need(shell: str) -> None:
    """Skip the test where the shell is not installed; bash always is."""
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")


def shell_environment(directory: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """An environment with the stand-in first in PATH, and with a home, a cache and a configuration of its own."""
    programs = directory / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "edgectl").write_text(EDGECTL.format(python=sys.executable))
    (programs / "edgectl").chmod(0o755)
    known = clean_environment(environ)
    return {
        **known,
        "PATH": f"{programs}:{known['PATH']}",
        "HOME": str(directory),
        "XDG_CACHE_HOME": str(directory / "cache"),
        "XDG_CONFIG_HOME": str(directory / "config"),
        "XDG_DATA_HOME": str(directory / "data"),
        "LC_ALL": "C.UTF-8",
    }


class Shell:
    """One interactive shell."""

    def __init__(self, name: str, terminal: Terminal) -> None:
        self.name = name
        self._terminal = terminal
        self._count = 0

    @classmethod
    async def start(cls, name: str, environ: Mapping[str, str], *, load: str = "") -> Shell:
        """Start it and load the completion, or do what `load` says instead."""
        terminal = await Terminal.run(STARTS[name], environ=environ, size=(40, 160))
        made = cls(name, terminal)
        await made.say(load or LOADS[name])
        return made

    @property
    def screen(self) -> str:
        """Everything that was shown."""
        return self._terminal.screen

    async def say(self, line: str) -> None:
        """Run a line and wait until it is done."""
        self._count += 1
        self._terminal.type(f'{line}\necho do""ne-{self._count}\n')
        await self._terminal.until(f"done-{self._count}")

    async def after_tab(self, line: str) -> str:
        """What the words of the line have become after TAB, each in angle brackets."""
        before = len(_SHOWN.findall(self.screen))
        self._terminal.type(f"{line}\t\n")
        found = await eventually(
            lambda: _SHOWN.findall(self.screen)[before:], within=30.0, what=f"{line!r} in {self.screen!r}"
        )
        return str(found[-1]).removeprefix("<edgectl>")

    async def offers(self, line: str, *words: str) -> None:
        """Wait until TAB, pressed twice, has listed these; the line stays as it is."""
        self._terminal.type(f"{line}\t\t")
        for word in words:
            await self._terminal.until(word)

    def close(self) -> None:
        """Take its terminal away."""
        self._terminal.close()
