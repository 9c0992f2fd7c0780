"""Asking the person before something is destroyed or large."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

from edge_wire.errors import Declined, UsageError
from edgectl.invocation import Invocation

_SECRET_LIMIT = 65_536


def confirm(invocation: Invocation, question: str, *, is_yes: bool) -> None:
    """Ask on a terminal; elsewhere `--yes` must be given. Raises Declined, UsageError."""
    if is_yes:
        return
    if not sys.stdin.isatty() or invocation.is_machine:
        raise UsageError(f"{question}: nobody can be asked here", hint="add --yes")
    if not agrees(question):
        raise Declined("nothing was changed")


def read_secret(name: str, what: str) -> str:
    """A secret from a file, or for `-` from a question on the terminal or from stdin. Raises UsageError."""
    try:
        if name != "-":
            text = Path(name).read_text(encoding="utf-8")
        elif sys.stdin.isatty():
            text = getpass.getpass(f"{what}: ")
        else:
            text = sys.stdin.read(_SECRET_LIMIT)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the {what} cannot be read: {error}") from None
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret or "\n" in secret:
        raise UsageError(f"the {what} is one line")
    return secret


def agrees(question: str) -> bool:
    """Ask on the terminal; anything but yes is no."""
    sys.stderr.write(f"{question}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
