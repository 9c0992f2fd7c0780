"""`edgectl`: reads the command line, runs one command, and turns every failure into one line and an exit code.

Typer is imported where it is needed: what a shell asks for at TAB is answered without it.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge_wire.errors import EdgeError, UsageError
from edgectl import standard_streams
from edgectl.failures import report
from edgectl.invocation import Invocation, guess_invocation, split_arguments
from edgectl.output import note

if TYPE_CHECKING:
    import typer

INTERRUPTED = 130
_GARBAGE_AT_ONCE = 20_000
"""Objects between two searches for cycles: what is imported makes many and none that may go."""
COMPLETE = "__complete"
"""What the completion scripts call; no command, so that no help shows it."""


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; ends the process."""
    gc.set_threshold(_GARBAGE_AT_ONCE)
    standard_streams.leave(run_or_complete(sys.argv[1:] if argv is None else argv))


def run_or_complete(words: Sequence[str]) -> int:
    """Run one command, or answer a shell at TAB; returns the exit code."""
    if words[:1] == [COMPLETE]:
        from edgectl.completion.answer import answer

        return answer(words[1:])
    return run(words)


def run(argv: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    try:
        return _run_or_report(argv)
    except BrokenPipeError:
        standard_streams.abandon_all()
        return standard_streams.READER_GONE
    except ModuleNotFoundError as error:  # Typer itself: installed as a node is, without the extra
        return report(guess_invocation(argv), error)


def _run_or_report(argv: Sequence[str]) -> int:
    import typer

    invocation = guess_invocation(argv)
    try:
        invocation, rest = split_arguments(argv)
        return _run_command(invocation, rest)
    except (KeyboardInterrupt, EOFError, typer.Abort):
        note("")
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:  # whatever it was, people get one line
        return report(invocation, error)


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
    return UsageError(message.rstrip(".").replace(": Value error, ", ": "), hint=f"{path} --help")


if __name__ == "__main__":
    main()
