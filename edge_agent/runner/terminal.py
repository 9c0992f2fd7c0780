"""Pseudo-terminals: opening one, its size, and how a process gets it as its controlling terminal.

A terminal becomes the controlling one only by a system call of the process itself, after it began its session and
before it is the command. Popen offers no such moment but `preexec_fn`, so a small program, `on_terminal`, makes the
call, changes the account, and is replaced by the command. It costs some 15 ms and needs nothing but Python. A shell
would do it in 1 ms (`: <>/dev/pts/0; exec "$@"`), but shells drop variables whose names they dislike and hide why a
program cannot be started. Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
import sys
import termios
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edge_agent.runner import on_terminal
from edge_agent.runner.account import Account

_USUAL_SIZE = (80, 24)
_SIZE_LIMIT = 65_535
_SIZE = struct.Struct("4H")
_IUTF8 = 0o40000
"""termios(3), c_iflag: the line editor of the kernel erases whole characters. Python has no name for it."""
_ON_TERMINAL = Path(on_terminal.__file__).read_text()
"""Read when the runner starts: an update of the agent may replace the file under it."""


def as_size(columns: int, rows: int) -> tuple[int, int] | None:
    """A size that a terminal can have; None for what is none. Pure."""
    if columns < 1 or rows < 1:
        return None
    return min(columns, _SIZE_LIMIT), min(rows, _SIZE_LIMIT)


def open_terminal(size: tuple[int, int] | None, owner: int) -> tuple[int, int]:
    """A new terminal of this size that belongs to this uid: the runner's end and the end of the process.

    Raises OSError.
    """
    ours, theirs = os.openpty()
    with ExitStack() as on_failure:
        on_failure.callback(os.close, ours)
        on_failure.callback(os.close, theirs)
        if owner != os.geteuid():
            os.fchown(theirs, owner, -1)
        attributes = termios.tcgetattr(theirs)
        attributes[0] |= _IUTF8
        termios.tcsetattr(theirs, termios.TCSANOW, attributes)
        _set_size(theirs, size or _USUAL_SIZE)
        on_failure.pop_all()
    return ours, theirs


def resize(descriptor: int, columns: int, rows: int) -> None:
    """Tell a terminal its new size; the kernel tells the programs. What is no size is passed over."""
    size = as_size(columns, rows)
    if size is not None:
        with contextlib.suppress(OSError):
            _set_size(descriptor, size)


def end_of_file(descriptor: int) -> bytes:
    """What somebody types on this terminal for the end of input: ^D, unless a program chose another character."""
    try:
        characters: list[bytes] = termios.tcgetattr(descriptor)[6]
        return characters[termios.VEOF]
    except (OSError, termios.error):
        return b"\x04"


def spawn(
    argv: Sequence[str],
    *,
    account: Account | None,
    inherited: Collection[int],
    executable: str = "",
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Popen for a command whose stdin is a terminal, which becomes its controlling one.

    `account` is the one to change to, None for none. The other options are Popen's. Raises OSError as Popen does: with
    the command as file name when it cannot be executed.
    """
    told, tell = os.pipe2(os.O_CLOEXEC)
    with open(told, "rb") as answer:
        try:
            helper = [sys.executable, "-I", "-S", "-c", _ON_TERMINAL, str(tell), _ids(account), executable]
            process = subprocess.Popen(
                [*helper, *argv], pass_fds=[tell, *inherited], start_new_session=True, close_fds=True, **options
            )
        finally:
            os.close(tell)
        failure = answer.read()  # empty at the moment in which the command takes the place of the helper
    if failure:
        process.wait()
        step, number = failure.decode().split()
        raise OSError(int(number), os.strerror(int(number)), argv[0] if step == "execute" else None)
    return process


def _ids(account: Account | None) -> str:
    return "" if account is None else ",".join(str(number) for number in (account.uid, account.gid, *account.groups))


def _set_size(descriptor: int, size: tuple[int, int]) -> None:
    columns, rows = size
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, _SIZE.pack(rows, columns, 0, 0))
