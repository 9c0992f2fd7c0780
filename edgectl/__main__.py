"""`edgectl`: reads the command line, runs one command, and turns every failure into one line and an exit code.

Typer is imported where it is needed: what a shell asks for at TAB is answered without it.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge_wire.errors import EdgeError, Internal, UsageError
from edgectl.invocation import Invocation, guess_invocation, split_arguments
from edgectl.output import fail, note

if TYPE_CHECKING:
    import typer

INTERRUPTED = 130
COMPLETE = "__complete"
"""What the completion scripts call; no command, so that no help shows it."""


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; ends the process."""
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == [COMPLETE]:
        from edgectl.completion.answer import answer

        raise SystemExit(answer(words[1:]))
    raise SystemExit(run(words))


def run(argv: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    import typer

    invocation = guess_invocation(argv)
    try:
        invocation, rest = split_arguments(argv)
        return _run_command(invocation, rest)
    except EdgeError as error:
        if invocation.is_debug:
            traceback.print_exc()
        return fail(invocation, error)
    except (KeyboardInterrupt, EOFError, typer.Abort):
        note("")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output left, as `head` does. Python would complain once more when it flushes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except Exception as error:  # whatever it was, people get one line
        if invocation.is_debug:
            traceback.print_exc()
        hint = "" if invocation.is_debug else "repeat it with --debug and report what it prints"
        return fail(invocation, Internal(f"{type(error).__name__}: {error}", hint=hint))


def _run_command(invocation: Invocation, rest: Sequence[str]) -> int:
    """As Typer's own `main`, which would turn a reader that left into exit code 1."""
    import typer

    from edgectl.app import root

    command = typer.main.get_command(root)
    try:
        with command.make_context("edgectl", list(rest), obj=invocation) as context:
            result = command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except typer.TyperException as error:
        raise _to_usage_error(error) from None
    return result if isinstance(result, int) else 0


def _to_usage_error(error: typer.TyperException) -> EdgeError:
    message = getattr(error, "format_message", lambda: str(error))()
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "edgectl"
    if type(error).__name__ == "NoArgsIsHelpError":
        note(message)
        return UsageError("a command is missing", hint=f"{path} --help")
    return UsageError(message.rstrip("."), hint=f"{path} --help")


if __name__ == "__main__":
    main()
