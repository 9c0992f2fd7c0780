"""Asking the person before something is destroyed or large."""

from __future__ import annotations

import sys

from edge_wire.errors import Declined, UsageError
from edgectl.invocation import Invocation


def confirm(invocation: Invocation, question: str, *, is_yes: bool) -> None:
    """Ask on a terminal; elsewhere `--yes` must be given. Raises Declined, UsageError."""
    if is_yes:
        return
    if not sys.stdin.isatty() or invocation.is_machine:
        raise UsageError(f"{question}: nobody can be asked here", hint="add --yes")
    if not agrees(question):
        raise Declined("nothing was changed")


def agrees(question: str) -> bool:
    """Ask on the terminal; anything but yes is no."""
    sys.stderr.write(f"{question}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
