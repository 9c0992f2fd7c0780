"""Long output on a terminal goes through a pager: $EDGECTL_PAGER, $PAGER, else `less -FRX`. Pipes never see one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

DEFAULT = "less -FRX"
_CANNOT_RUN = {126, 127}
"""What a shell ends with when the program is not there or is none."""


def terminal_size() -> os.terminal_size:
    """Columns and lines of the terminal that stdout is; 0 and 0 when it is none."""
    if not sys.stdout.isatty():
        return os.terminal_size((0, 0))
    import shutil

    return shutil.get_terminal_size((200, 0))


def show(lines: Sequence[str]) -> bool:
    """Show lines in a pager. Returns False when there is none, or no need of one: they are still to be printed."""
    command = choose()
    if not command or not is_too_long(lines):
        return False
    return _run(command, "".join(f"{line}\n" for line in lines))


def is_too_long(lines: Sequence[str]) -> bool:
    """Whether a terminal cannot show them all at once; the shell's next prompt takes a line too."""
    return bool(lines) and 0 < terminal_size().lines <= len(lines)


def choose() -> str:
    """The command line of the pager, for /bin/sh; empty when none is wanted or to be had."""
    chosen = next((os.environ[name] for name in ("EDGECTL_PAGER", "PAGER") if name in os.environ), DEFAULT).strip()
    if not chosen or chosen == "cat" or os.environ.get("TERM") == "dumb":
        return ""
    import shutil

    return chosen if chosen != DEFAULT or shutil.which("less") else ""


def _run(command: str, text: str) -> bool:
    import subprocess

    sys.stdout.flush()
    environ = {"LESS": "FRX", **os.environ}  # for a pager that is called less without options
    try:
        # The user's own command line, as git and man take it.
        process = subprocess.Popen(["/bin/sh", "-c", command], stdin=subprocess.PIPE, env=environ)
    except OSError:
        return False
    with _interrupts_ignored():
        _feed(process, text)
        return process.wait() not in _CANNOT_RUN


def _feed(process: subprocess.Popen[bytes], text: str) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # the person has seen enough
        process.stdin.write(text.encode(errors="replace"))
    with suppress(BrokenPipeError):
        process.stdin.close()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ctrl-C in a pager is the pager's: it ends a search, not the program behind it."""
    import signal

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
