"""Commands that ssh runs for us: how edgectl is called again, and how words are written for ssh."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from edgectl.invocation import Invocation


def own_command(invocation: Invocation) -> Sequence[str]:
    """The words that call edgectl as it was called, with the same installation."""
    program = Path(sys.argv[0])
    own = [str(program.resolve())] if program.name == "edgectl" else [sys.executable, "-m", "edgectl"]
    return [*own, *(["--context", invocation.context] if invocation.context else [])]


def for_ssh(words: Iterable[str]) -> str:
    """One text for a shell that ssh starts, which replaces what begins with a percent sign before."""
    return " ".join(shlex.quote(word) for word in words).replace("%", "%%")
