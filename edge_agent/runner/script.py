"""A program that is brought along: it lies in memory and is read by its interpreter. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Sequence

_SHELL = "/bin/sh"


def interpreter_of(content: bytes) -> list[str]:
    """The words that its first line asks for, as the kernel reads it (execve(2)): a program and at most one argument.

    /bin/sh for a script that names none.
    """
    first_line = content.partition(b"\n")[0]
    if not first_line.startswith(b"#!"):
        return [_SHELL]
    words = first_line[2:].strip(b" \t").split(None, 1)
    return [os.fsdecode(word) for word in words] or [_SHELL]


def lay_down(content: bytes) -> int:
    """Put a script into memory; the descriptor is the caller's. Raises OSError."""
    descriptor = os.memfd_create("script", os.MFD_CLOEXEC)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def command(content: bytes, descriptor: int, arguments: Sequence[str]) -> list[str]:
    """What runs a script that lies behind a descriptor which the process inherits.

    The interpreter is called by name rather than by the kernel: then its absence is told from that of the script, and
    a machine that executes nothing from memory (sysctl vm.memfd_noexec) runs scripts as well.
    """
    return [*interpreter_of(content), f"/proc/self/fd/{descriptor}", *arguments]
