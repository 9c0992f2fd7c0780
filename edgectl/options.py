"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from edge_wire.errors import InvalidValue
from edgectl.invocation import Invocation

CommandId = Annotated[str, typer.Argument(help="Id of the command, or its first characters.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def invocation_of(ctx: typer.Context) -> Invocation:
    """What holds for every command."""
    found = ctx.obj
    assert isinstance(found, Invocation)
    return found


def read_labels(pairs: Sequence[str]) -> dict[str, str]:
    """`name=value` words as a dictionary. Raises InvalidValue."""
    labels = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise InvalidValue(f"{pair!r} is not a label: write name=value")
        labels[name] = value
    return labels
