"""`edgectl completion`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import edgectl.completion
from edgectl.app import new_app

app = new_app("Print what makes bash, zsh or fish complete.")

EXAMPLES = """Examples:

source <(edgectl completion bash)

source <(edgectl completion zsh)

edgectl completion fish | source"""


class Shell(StrEnum):
    """A shell that is known."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command(epilog=EXAMPLES)
def completion(shell: Annotated[Shell, typer.Argument(help="Which shell reads it.")]) -> None:
    """Print a script to source; then TAB knows commands, options, nodes, labels, clusters, commands and contexts."""
    [directory] = edgectl.completion.__path__
    sys.stdout.write((Path(directory) / f"edgectl.{shell.value}").read_text(encoding="utf-8"))
