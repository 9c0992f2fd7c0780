"""Our own stdout and stderr: what becomes of them when nobody takes what is written."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from edge_wire.errors import OutputNotWritable

READER_GONE = 128 + 13
"""The exit code when the reader of our output left, as `head` does: what a program that SIGPIPE ends has."""


def print_line(line: str) -> None:
    """One line to stdout. Raises BrokenPipeError when its reader left, OutputNotWritable."""
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise refused(sys.stdout.fileno(), error) from None


def say_line(line: str) -> None:
    """One line to stderr. Raises BrokenPipeError when its reader left; a full disk is told to nobody."""
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except BrokenPipeError:
        raise
    except OSError:
        abandon(sys.stderr.fileno())


def leave(code: int) -> NoReturn:
    """End the process with this code once everything is written.

    Without Python's own way out, which takes apart every module: with a connection of gRPC that is a sixth of the time
    of a short command. What a block owns it has let go of by now.
    """
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        raise SystemExit(code) from None  # which says so, as Python does
    os._exit(code)


def refused(descriptor: int, error: OSError) -> OutputNotWritable:
    """Write there no more, and say why."""
    abandon(descriptor)
    return OutputNotWritable(f"the output cannot be written ({error.strerror})")


def abandon(descriptor: int) -> None:
    """What is written there from now on is lost. Python would complain once more when it flushes at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def abandon_all() -> None:
    """The reader of one of them left; which one is not known."""
    for stream in (sys.stdout, sys.stderr):
        abandon(stream.fileno())
