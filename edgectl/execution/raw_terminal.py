"""Our terminal while it belongs to a program on a node: raw, with its size told whenever it changes."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from edge_wire.errors import UsageError
from edge_wire.v1 import command_pb2 as pb


def require_terminal() -> None:
    """Raise UsageError unless stdin and stdout are a terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("--tty needs a terminal on stdin and stdout", hint="leave out --tty, or use --stdin -")


def terminal_size() -> pb.Terminal:
    """What our terminal is now."""
    columns, rows = shutil.get_terminal_size((80, 24))
    return pb.Terminal(columns=max(1, columns), rows=max(1, rows), kind=os.environ.get("TERM", "dumb"))


@contextmanager
def raw_terminal(on_resize: Callable[[], None]) -> Iterator[None]:
    """Keys pass as they are; afterwards the terminal is what it was, however the block ends."""
    loop = asyncio.get_running_loop()
    before = termios.tcgetattr(0)
    tty.setraw(0)
    loop.add_signal_handler(signal.SIGWINCH, on_resize)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
        with suppress(termios.error):  # it may be gone
            termios.tcsetattr(0, termios.TCSADRAIN, before)
